"""``neurogrid task``: what is done to one task while it waits, runs, or when it has ended."""

from pathlib import Path
from typing import Any, Literal

import click

from ..models import Task, UsageSample, UsageSummary
from .change_options import change_options, changes_of
from .model_options import prompt_of
from .monitor import monitor, monitored
from .output import print_fields, print_json, print_table, usdc
from .results import outputs
from .session import Session, with_session
from .tasks import cancel, list_tasks, logs, status


@click.group()
def task() -> None:
    """Ask a model by a task, watch one, change one that waits, or execute one once more.

    `list`, `status`, `logs`, `outputs` and `cancel` are those of `neurogrid` itself.
    """


for each in (list_tasks, status, logs, outputs, cancel, monitor):
    task.add_command(each)


@task.command("submit")
@click.option("--model", required=True, help="Its id; `neurogrid models list` has them.")
@click.option("--input", "prompt", help="What it is asked [default: standard input].")
@click.option(
    "--input-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The same, from a file.",
)
@click.option("--priority", type=click.Choice(("low", "normal", "high")), default="normal")
@click.option(
    "--after",
    "depends_on",
    multiple=True,
    metavar="TASK",
    help="That has to complete before. Repeatable.",
)
@click.option("--idempotency-key", help="The same key with the same options is the same task.")
@click.option("--monitor", "watched", is_flag=True, help="Stay, as `neurogrid task monitor` does.")
@with_session
def submit(
    session: Session,
    *,
    model: str,
    prompt: str | None,
    input_file: Path | None,
    priority: Literal["low", "normal", "high"],
    depends_on: tuple[str, ...],
    idempotency_key: str | None,
    watched: bool,
) -> None:
    """Ask a model by a task, whose id is printed. A container job is `neurogrid submit`.

    \b
    neurogrid task submit --model=bard-1m --input="Hello, world!"
    neurogrid task submit --model bard-1m --input "To be" --monitor
    """
    if prompt is not None and input_file is not None:
        raise click.UsageError("Give --input or --input-file.")
    made = session.client.models.submit(
        model,
        prompt_of(prompt) if input_file is None else input_file.read_text(),
        priority=priority,
        depends_on=depends_on,
        idempotency_key=idempotency_key,
    )
    if watched:
        monitored(session, made.id)
        return
    if session.as_json:
        print_json(made)
        return
    click.echo(made.id)
    click.echo(f"neurogrid task monitor {made.id} shows how far it is.", err=True)


@task.command("update")
@click.argument("task_id")
@change_options
@with_session
def update(session: Session, *, task_id: str, **given: Any) -> None:
    """Ask otherwise for a task that waits for a node.

    What is not named stays as it is. The task keeps its place in the queue, and the money that is held for it becomes
    more or less. What the job does can't be changed: cancel it, and submit another.
    """
    changes = changes_of(given)
    if not changes:
        raise click.UsageError("Say what to change, such as --max-price 2.")
    changed = session.client.tasks.update(task_id, **changes)
    if session.as_json:
        print_json(changed)
        return
    click.echo(f"{changed.id} {_held(changed)}")


@task.command("execute")
@click.argument("task_id")
@change_options
@with_session
def execute(session: Session, *, task_id: str, **given: Any) -> None:
    """Have a task that has ended run once more, as another task, whose id is printed.

    The options change what that one is asked for. One that waits or runs is left alone.
    """
    made = session.client.tasks.execute(task_id, **changes_of(given))
    if session.as_json:
        print_json(made)
        return
    click.echo(made.id)
    if made.id == task_id:
        click.echo(f"It is {made.status}: nothing more was submitted.", err=True)


@task.command("metrics")
@click.argument("task_id")
@click.option(
    "--samples",
    type=click.IntRange(0, 960),
    default=12,
    show_default=True,
    help="So many, the newest.",
)
@with_session
def metrics(session: Session, *, task_id: str, samples: int) -> None:
    """Show what a task's job uses, or has used: processors, memory, disk, network, GPUs.

    Its node measures about every five seconds. Percents of CPU are of the cores that the task asked for.
    """
    found = session.client.tasks.get_metrics(task_id, limit=samples)
    if session.as_json:
        print_json(found)
        return
    if not found.summary.samples:
        click.echo(
            f"It is {found.status}; nothing was measured yet, or its node can't tell.", err=True
        )
        return
    print_fields(_summary(found.summary))
    if found.samples:
        click.echo()
        print_table(_HEADINGS, (_row(sample) for sample in found.samples))


_HEADINGS = ("AT", "CPU", "MEMORY", "DISK R/W", "NETWORK IN/OUT", "GPU")


def _summary(sums: UsageSummary) -> list[tuple[str, str | None]]:
    return [
        ("CPU", f"{sums.cpu_seconds:.1f} s"),
        ("memory", f"{_size(sums.memory_peak_bytes)} at most, of {_size(sums.memory_limit_bytes)}"),
        ("disk", _pair(sums.disk_read_bytes, sums.disk_written_bytes, "read", "written")),
        (
            "network",
            _pair(sums.network_received_bytes, sums.network_sent_bytes, "received", "sent"),
        ),
        (
            "GPU",
            None
            if sums.gpu_usage_mean is None
            else f"{sums.gpu_usage_mean:.0f}% mean, {sums.gpu_usage_max}% at most",
        ),
        (
            "GPU memory",
            None
            if sums.gpu_memory_peak_bytes is None
            else f"{_size(sums.gpu_memory_peak_bytes)} at most",
        ),
        ("GPU warmth", _with(sums.gpu_temperature_max, "{} °C at most")),
        ("GPU power", _with(sums.gpu_power_max_watts, "{:.0f} W at most")),
        ("samples", str(sums.samples)),
    ]


def _row(sample: UsageSample) -> tuple[str, ...]:
    return (
        f"{sample.timestamp.astimezone():%H:%M:%S}",
        _with(sample.cpu_usage, "{:.0f}%") or "-",
        f"{_size(sample.memory_bytes)} {sample.memory_usage:.0f}%",
        _pair(sample.disk_read_bytes, sample.disk_written_bytes, "", "") or "-",
        _pair(sample.network_received_bytes, sample.network_sent_bytes, "", "") or "-",
        _with(sample.gpu_usage, "{:.0f}%") or "-",
    )


def _pair(one: int | None, other: int | None, first: str, second: str) -> str | None:
    if one is None and other is None:
        return None
    if not first:
        return f"{_size(one or 0)} / {_size(other or 0)}"
    return f"{_size(one or 0)} {first}, {_size(other or 0)} {second}"


def _with(value: float | None, words: str) -> str | None:
    return None if value is None else words.format(value)


def _size(size_bytes: int) -> str:
    size = float(size_bytes)
    for unit in ("B", "KB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"


def _held(changed: Task) -> str:
    price, most = usdc(changed.max_price_per_hour), usdc(changed.max_cost)
    return f"{changed.phase}, at most {price} per hour and {most} in all"
