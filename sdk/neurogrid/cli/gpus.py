"""``neurogrid resources``: the market's GPUs now."""

import click

from .output import print_fields, print_json
from .session import Session, with_session

_GB = 10**9


@click.group()
def resources() -> None:
    """Show what the market has, and how busy it is. Machines one by one: `neurogrid providers search`."""


@resources.command("gpu")
@with_session
def gpu(session: Session) -> None:
    """Show the GPUs of all connected nodes together: how many jobs have, their load, warmth and power."""
    found = session.client.analytics.get_gpus()
    if session.as_json:
        print_json(found)
        return
    if not found.total:
        click.echo("No connected node offers a GPU now.", err=True)
    taken, memory = found.memory_taken_bytes / _GB, found.memory_bytes / _GB
    print_fields(
        [
            ("GPUs", f"{found.taken} of {found.total} taken ({found.utilization:.0%})"),
            ("memory", f"{taken:.1f} of {memory:.1f} GB taken" if found.total else None),
            ("load", _with(found.busy, "{:.0%}")),
            ("mean warmth", _with(found.temperature_mean, "{:.0f} °C")),
            ("warmest", _with(found.temperature_max, "{:.0f} °C")),
            ("power", _with(found.power_watts, "{:.0f} W")),
            ("CPU load", _with(found.cpu_load, "{:.0%}")),
        ]
    )


def _with(value: float | None, words: str) -> str | None:
    return None if value is None else words.format(value)
