"""One picture of a node for a terminal, from its status file. Pure."""

from collections.abc import Iterable, Mapping
from typing import Any

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from neurogrid_marketplace.money import format_usdc

from ..money.readable import counted, duration
from .standing import standing
from .terminal import harmless

_GIB = 1 << 30
_BAR_CELLS = 10
# A page of a terminal; the rest is counted.
_ROWS_MAX = 16
# A GPU's driver slows it down in the nineties; a job that is reclaimed or paused is worth a look.
_HOT_CELSIUS = 85
_STEADY = frozenset({"running", "accepted", "preparing"})

Row = Mapping[str, Any]


def frame(document: Row, now_ms: int) -> RenderableType:
    """The node as it is.

    Args:
        document: a `status.NodeStatus` as JSON.
        now_ms: Unix time.
    """
    trouble = [Text(line, style="yellow") for line in _trouble(document)]
    return Group(
        *(_head(document, now_ms), _gpus(document), "", _jobs(document, now_ms), ""),
        *(_coordinators(document["coordinators"]), *trouble),
    )


def _head(document: Row, now_ms: int) -> RenderableType:
    leases = document["leases"]
    state = standing(document["word"], document["no_new_work"], len(leases))
    promised = sum(row["voucher_micro_usdc"] for row in leases)
    rate = sum(row["price_micro_usdc_per_hour"] for row in leases if row["phase"] == "running")
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim")
    grid.add_column(ratio=1)
    grid.add_row(
        "state", Text(state, style="bold green" if document["accepting"] else "bold yellow")
    )
    grid.add_row(
        "money",
        f"{format_usdc(document['earned_micro_usdc'])} USDC earned in "
        f"{counted(document['leases_paid'], 'job')}, {format_usdc(promised)} promised, "
        f"{format_usdc(rate)} an hour now, {format_usdc(document['staked_micro_usdc'])} staked",
    )
    cores = document["cpu_millis_total"] - document["cpu_millis_free"]
    memory = document["memory_bytes_total"] - document["memory_bytes_free"]
    grid.add_row(
        "leased",
        f"{cores / 1000:g} of {document['cpu_millis_total'] / 1000:g} cores, "
        f"{memory / _GIB:.1f} of {document['memory_bytes_total'] / _GIB:.1f} GiB",
    )
    age_s = max(0, now_ms - document["updated_at_ms"]) // 1000
    # It is written every second: an older one is a machine that is too busy to, or a daemon that hangs.
    stale = f", as of {duration(age_s)} ago" if age_s > 5 else ""
    return Panel(
        grid,
        title=Text(f"{document['peer_id']}{stale}"),
        title_align="left",
        border_style="cyan",
    )


def _gpus(document: Row) -> RenderableType:
    machine = document["inventory"]
    if not machine["gpus"]:
        return Text(f"no GPU: {harmless(machine['gpu_note']) or 'none is offered'}", style="dim")
    withheld = {each["uuid"]: each["code"] for each in machine["withheld"]}
    users = {uuid: row["lease_id"] for row in document["leases"] for uuid in row["gpus"]}
    table = _table("gpu", "", "busy", "memory", "°C", "W", "job")
    for gpu in machine["gpus"][:_ROWS_MAX]:
        user = users.get(gpu["uuid"], "")
        table.add_row(
            str(gpu["index"]),
            Text(harmless(gpu["model"])),
            _percent(gpu["utilisation_percent"]),
            _memory(gpu),
            _celsius(gpu["temperature_celsius"]),
            _watts(gpu),
            Text(f"withheld: {withheld[gpu['uuid']]}", style="yellow")
            if gpu["uuid"] in withheld
            else Text(_short(user) if user else "free", style="" if user else "dim"),
        )
    return _with_rest(table, len(machine["gpus"]), "GPU")


def _jobs(document: Row, now_ms: int) -> RenderableType:
    leases = document["leases"]
    if not leases:
        return Text("no job is here", style="dim")
    table = _table("job", "image", "phase", "for", "done", "USDC/h", "promised")
    for row in leases[:_ROWS_MAX]:
        phase = row["phase"]
        if row["stops_at_ms"]:
            phase += f", stopped in {duration(max(0, row['stops_at_ms'] - now_ms) // 1000)}"
        is_steady = row["phase"] in _STEADY and not row["stops_at_ms"]
        table.add_row(
            _short(row["lease_id"]),
            Text(harmless(row["image"]) or "not here yet"),
            Text(phase, style="" if is_steady else "yellow"),
            duration(row["metered_ms"] // 1000),
            f"{row['progress_permille'] / 10:g} %" if row["progress_permille"] else "",
            format_usdc(row["price_micro_usdc_per_hour"]),
            format_usdc(row["voucher_micro_usdc"]),
        )
    return _with_rest(table, len(leases), "job")


def _coordinators(rows: Iterable[Row]) -> RenderableType:
    text = Text()
    for row in rows:
        found = f", found by {row['found_by']}" if row["found_by"] else ""
        state = "connected" if row["connected"] else "not connected"
        text.append("● " if row["connected"] else "○ ", "green" if row["connected"] else "red")
        text.append(f"coordinator {_short(row['peer_id'])} {state}{found}  ")
    return text if text else Text("no coordinator is known", style="red")


def _trouble(document: Row) -> list[str]:
    machine = document["inventory"]
    lines = [
        f"GPU {fault['uuid'] or fault['index']} is not offered: {harmless(fault['message'])}"
        for fault in machine["gpu_faults"]
    ]
    if document["stake_problem"]:
        lines.append(f"stake: {document['stake_problem']}")
    if document["earnings_differ"]:
        lines.append(
            f"journal and chain differ in {counted(len(document['earnings_differ']), 'job')}"
        )
    lines += [f"mended: {each['code']} of {each['about']}" for each in document["mended"][-3:]]
    return lines


# --- cells ----------------------------------------------------------------------------------------


def _table(*headings: str) -> Table:
    table = Table(box=None, header_style="dim", padding=(0, 2, 0, 0), expand=True)
    for heading in headings:
        table.add_column(heading, no_wrap=True, overflow="ellipsis")
    return table


def _with_rest(table: Table, rows: int, what: str) -> RenderableType:
    if rows <= _ROWS_MAX:
        return table
    return Group(table, Text(f"and {counted(rows - _ROWS_MAX, what)} more", style="dim"))


def _bar(share: float) -> str:
    full = round(min(max(share, 0.0), 1.0) * _BAR_CELLS)
    return "█" * full + "░" * (_BAR_CELLS - full)


def _percent(value: int | None) -> str:
    return "" if value is None else f"{_bar(value / 100)} {value:3d} %"


def _memory(gpu: Row) -> str:
    used, size = gpu["memory_used_bytes"], gpu["memory_bytes"]
    return f"{_bar(used / size if size else 0)} {used / _GIB:.1f}/{size / _GIB:.0f} GiB"


def _celsius(value: int | None) -> Text:
    if value is None:
        return Text("")
    return Text(str(value), style="red" if value >= _HOT_CELSIUS else "")


def _watts(gpu: Row) -> Text:
    if gpu["power_milliwatts"] is None:
        return Text("")
    limit = gpu["power_limit_milliwatts"]
    of = f"/{limit / 1000:.0f}" if limit else ""
    slow = f" {','.join(gpu['throttle'])}" if gpu["throttle"] else ""
    return Text(f"{gpu['power_milliwatts'] / 1000:.0f}{of}{slow}", style="red" if slow else "")


def _short(name: str) -> str:
    """``lease_3f0a…`` and ``…5wBkD6rh``: enough to tell one from another."""
    return f"{name[:12]}…" if name.startswith("lease_") else f"…{name[-8:]}"
