"""`neurogrid-node inventory`: this machine, its GPUs, and how busy they were."""

import json
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from ..machine.clock import now_ms as read_clock
from ..machine.fitness import NOT_CLEAN
from . import options

_GIB = 1 << 30
_HOURS_MAX = 30 * 24
# Columns of a day's hours, and of a month's days, fit a terminal.
_BARS = " ▁▂▃▄▅▆▇█"


@click.command()
@options.directory
@click.option("--history", is_flag=True, help="Show how busy each was, instead of what it is.")
@click.option(
    "--hours",
    type=click.IntRange(1, _HOURS_MAX),
    default=24,
    show_default=True,
    help="How far --history goes back; by the minute up to 24, else by the hour.",
)
@options.json_output
def inventory(directory: Path, history: bool, hours: int, as_json: bool) -> None:
    """This machine and its GPUs: as the running node has read them last, else as they are now."""
    if history:
        _show_history(directory, hours, as_json)
        return
    machine = _machine(directory)
    if as_json:
        click.echo(json.dumps(machine, indent=2))
    else:
        _print_machine(machine)


def _machine(directory: Path) -> dict[str, Any]:
    """What the running node says; else what is read here."""
    import trio

    from ..machine.host import read_host
    from ..machine.inventory import take_inventory
    from ..status import read_status

    document = read_status(directory)
    if document is not None and document.get("host") is not None:
        return {"running": True, "machine": document["inventory"], "host": document["host"]}
    place = directory if directory.is_dir() else Path("/")
    taken = trio.run(take_inventory, place)
    return {"running": False, "machine": asdict(taken), "host": asdict(read_host())}


def _print_machine(document: dict[str, Any]) -> None:
    machine, host = document["machine"], document["host"]
    if not document["running"]:
        click.echo("No node runs here; this was read just now.")
    numa = f", {host['numa_nodes']} NUMA nodes" if host["numa_nodes"] > 1 else ""
    click.echo(
        f"processor {host['cpu_model'] or 'unknown'}: {host['cpu_cores']} cores, "
        f"{host['cpu_threads']} threads{numa}"
    )
    click.echo(
        f"memory    {host['memory_bytes'] / _GIB:.1f} GiB, {machine['memory_bytes'] / _GIB:.1f} for jobs, "
        f"{host['memory_available_bytes'] / _GIB:.1f} available now"
    )
    for disk in host["disks"]:
        click.echo(
            f"disk      {disk['mount']} {disk['filesystem']} {disk['kind']} ".rstrip()
            + f": {disk['free_bytes'] / _GIB:.0f} of {disk['total_bytes'] / _GIB:.0f} GiB free"
        )
    for link in host["links"]:
        speed = f"{link['mbit_per_s']} Mbit/s" if link["mbit_per_s"] else "speed unknown"
        click.echo(f"network   {link['name']} {'up' if link['is_up'] else 'down'}, {speed}")
    if machine["driver"]:
        cuda = f", CUDA {machine['cuda']}" if machine["cuda"] else ""
        click.echo(f"driver    {machine['driver']}{cuda}")
    for line in gpu_lines(machine, processes=True):
        click.echo(line)


def gpu_lines(machine: dict[str, Any], *, processes: bool = False) -> list[str]:
    """A line for each GPU, and for what is wrong with any.

    Args:
        processes: whether what computes on them is listed, too.
    """
    lines = []
    for gpu in machine["gpus"]:
        lines.append(_gpu_line(gpu))
        if processes:
            lines += [_process_line(process) for process in gpu["processes"] or ()]
    lines += [
        f"          not offered: {fault['uuid'] or fault['index']}: {fault['message']} ({fault['code']})"
        for fault in machine["gpu_faults"]
    ]
    for each in machine["withheld"]:
        until_s = each["until_ms"] / 1000
        # One that is not clean comes back when it is, not at a time.
        waits = each["code"] != NOT_CLEAN and until_s > time.time()
        until = time.strftime(", until %H:%M:%S at least", time.localtime(until_s)) if waits else ""
        lines.append(
            f"          withheld: {each['uuid']}: {each['message']} ({each['code']}{until})"
        )
    if machine["gpu_note"]:
        lines.append(f"gpus      {machine['gpu_note']}")
    return lines


def _gpu_line(gpu: dict[str, Any]) -> str:
    parts = [f"gpu       {gpu['model']} {gpu['uuid']}"]
    used, all_of_it = gpu["memory_used_bytes"] / _GIB, gpu["memory_bytes"] / _GIB
    parts.append(f"{used:.1f} of {all_of_it:.1f} GiB")
    if gpu["utilisation_percent"] is not None:
        parts.append(f"{gpu['utilisation_percent']} % busy")
    if gpu["temperature_celsius"] is not None:
        parts.append(f"{gpu['temperature_celsius']} °C")
    if gpu["power_milliwatts"] is not None:
        limit = gpu["power_limit_milliwatts"]
        of = f" of {limit / 1000:.0f}" if limit else ""
        parts.append(f"{gpu['power_milliwatts'] / 1000:.0f}{of} W")
    if gpu["throttle"]:
        parts.append(f"slowed down: {', '.join(gpu['throttle'])}")
    if gpu["ecc_uncorrected"]:
        parts.append(f"{gpu['ecc_uncorrected']} uncorrected memory errors")
    if gpu["processes"]:
        parts.append(f"{len(gpu['processes'])} processes")
    return ", ".join(parts)


def _process_line(process: dict[str, Any]) -> str:
    container = process["container_id"]
    where = f"in container {container[:12]}" if container else "in no container"
    memory = process["memory_bytes"]
    used = f", {memory / _GIB:.1f} GiB" if memory is not None else ""
    return f"          pid {process['pid']} {where}{used}"


def _show_history(directory: Path, hours: int, as_json: bool) -> None:
    from ..machine.history import HOUR_MS, MINUTE_MS, read_history

    now_ms = read_clock()
    width_ms = MINUTE_MS if hours <= 24 else HOUR_MS
    samples = read_history(directory, width_ms, now_ms - hours * HOUR_MS)
    if as_json:
        rows = [asdict(sample) for sample in samples]
        click.echo(json.dumps({"width_ms": width_ms, "samples": rows}, indent=2))
        return
    if not samples:
        click.echo("Nothing is known yet: a running node keeps a sample each minute.")
        return
    columns = min(hours, 48)
    for unit in dict.fromkeys(sample.unit for sample in samples):
        own = [sample for sample in samples if sample.unit == unit]
        cells: list[list[float]] = [[] for _ in range(columns)]
        for sample in own:
            place = (sample.at_ms - (now_ms - hours * HOUR_MS)) * columns // (hours * HOUR_MS)
            if sample.utilisation_percent is not None:
                cells[min(max(0, place), columns - 1)].append(sample.utilisation_percent)
        bars = "".join(_bar(cell) for cell in cells)
        known = [value for cell in cells for value in cell]
        mean = f"{sum(known) / len(known):3.0f} % busy" if known else "not told"
        hottest = max((sample.temperature_celsius or 0 for sample in own), default=0)
        most = f", at most {hottest} °C" if hottest else ""
        click.echo(f"{unit:<42} |{bars}| {mean}{most}")


def _bar(values: list[float]) -> str:
    """One column: a dot where nothing is known."""
    if not values:
        return "·"
    share = sum(values) / len(values) / 100
    return _BARS[round(min(max(share, 0.0), 1.0) * (len(_BARS) - 1))]
