"""How things are printed: tables and fields for people, JSON for programs, progress for terminals.

Results go to standard output, everything said about them to standard error, so that pipes carry
results alone. Colours and the moving line appear on terminals only.
"""

import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from decimal import Decimal

import click
import msgspec

from neurogrid_marketplace.bid import MEANINGS
from neurogrid_marketplace.receipt_items import Item, Proof

from ..models import Explanation, TaskUpdate

_MEANINGS: dict[str, str] = {code.value: meaning for code, meaning in MEANINGS.items()}
_PROOF_COLOURS = {Proof.PROVEN: "green", Proof.SEEN: "green", Proof.CLAIMED: "yellow"}
_STATUS_COLOURS = {
    "completed": "green",
    "online": "green",
    "running": "cyan",
    "failed": "red",
    "cancelled": "yellow",
    "busy": "yellow",
}


def print_json(value: object) -> None:
    """One JSON document."""
    click.echo(msgspec.json.format(msgspec.json.encode(value), indent=2).decode())


def print_table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Columns as wide as they need to be; the last one is never padded. Where there is no row, that is said beside them."""
    all_rows = [[printable(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(headings, *all_rows, strict=True)]
    click.secho(_line(headings, widths), bold=True)
    for row in all_rows:
        click.echo(_coloured(row, widths))
    if not all_rows:
        click.echo("There are none.", err=True)


def print_fields(fields: Iterable[tuple[str, str | None]], *, err: bool = False) -> None:
    """Name and value, one per line; values that are None or empty are left out."""
    shown = [(name, printable(value)) for name, value in fields if value]
    width = max((len(name) for name, _ in shown), default=0)
    for name, value in shown:
        click.secho(f"{name.ljust(width)}  ", dim=True, nl=False, err=err)
        click.secho(value, fg=_STATUS_COLOURS.get(value), err=err)


def print_item(item: Item) -> None:
    """Two lines, so that what it shows has the whole width."""
    proof = click.style(item.proof.value.ljust(14), fg=_PROOF_COLOURS.get(item.proof))
    signed = f"signed by {item.signed_by}" if item.signed_by else ""
    click.echo(f"{proof}{item.name.ljust(15)}{signed}".rstrip())
    click.echo(f"    {printable(item.shows)}")


def print_explanation(explanation: Explanation, *, err: bool = False) -> None:
    """Which constraint left how many nodes, who came nearest, what would help."""
    click.echo(explanation.summary, err=err)
    if not explanation.matching:
        for survivors in explanation.survivors:
            count = f"{survivors.left:>5} of {explanation.nodes}"
            click.echo(f"  {count} nodes left after {survivors.constraint}", err=err)
        for miss in explanation.nearest:
            reasons = printable("; ".join(miss.reasons))
            click.echo(f"  {short(miss.node_id)} {reasons}", err=err)
        for step in explanation.relaxation.steps if explanation.relaxation else ():
            click.echo(f"  {step.nodes:>5} would come in with {step.constraint}", err=err)
    for code, times in sorted(explanation.declines.items()):
        click.echo(f"  {times:>5} declined: {_MEANINGS.get(code, printable(code))}", err=err)
    if explanation.clearing_price_per_hour is not None:
        price = usdc(explanation.clearing_price_per_hour)
        click.echo(f"The lowest ask of a node that fits is {price} per hour.", err=err)
    if explanation.max_cost is not None:
        click.echo(f"It may cost up to {usdc(explanation.max_cost)}.", err=err)


def printable(text: str) -> str:
    """On one line and without control characters.

    What a node says of itself must not steer a terminal.
    """
    line = text.replace("\n", "⏎")
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in line)


def usdc(amount: Decimal | None) -> str:
    """``10.00 USDC``."""
    if amount is None:
        return ""
    whole = amount.quantize(Decimal("0.01"))
    return f"{whole if whole == amount else amount.normalize():f} USDC"


def when(moment: datetime | None) -> str:
    """A time in the reader's own time zone."""
    if moment is None:
        return ""
    return moment.astimezone().strftime("%Y-%m-%d %H:%M:%S")


def age(moment: datetime) -> str:
    """How long ago, in its largest unit."""
    seconds = max(0, int((datetime.now(UTC) - moment).total_seconds()))
    for unit, size in (("d", 86_400), ("h", 3_600), ("m", 60)):
        if seconds >= size:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"


def short(node_id: str | None) -> str:
    """The end of a peer id: all of them begin alike."""
    return f"…{node_id[-8:]}" if node_id else ""


class Progress:
    """One task's progress on standard error: a line that moves on a terminal, else one per phase."""

    def __init__(self, *, quiet: bool = False) -> None:
        self._quiet = quiet
        self._moving = sys.stderr.isatty()
        self._phase = ""
        self._drawn = False

    def show(self, update: TaskUpdate) -> None:
        """The task has come so far."""
        if self._quiet:
            return
        if update.phase != self._phase:
            self._phase = update.phase
            self.clear()
            colour = _STATUS_COLOURS.get(update.status)
            click.secho(update.phase.ljust(10), fg=colour, nl=False, err=True)
            click.echo(_about(update), err=True)
        elif self._moving and update.status == "running":
            done = int(update.progress / 5)
            bar = "█" * done + "░" * (20 - done)
            line = f"{bar} {update.progress:5.1f}%  {printable(update.progress_note)}"
            # Cut, so that it stays one line; \x1b[K clears what was longer before.
            click.echo(f"\r{line[:79]}\x1b[K", nl=False, err=True)
            self._drawn = True

    def clear(self) -> None:
        """Remove the moving line, so that something else can be printed."""
        if self._drawn:
            click.echo("\r\x1b[K", nl=False, err=True)
            self._drawn = False


def _about(update: TaskUpdate) -> str:
    match update.phase:
        case "awarded":
            return f"to {short(update.node_id)} at {usdc(update.price_per_hour)} per hour"
        case "completed":
            return f"for {usdc(update.cost)}"
        case "queued":
            return update.message or "waiting for a node"
    return ""


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    padded = [cell.ljust(width) for cell, width in zip(cells, widths, strict=True)]
    return "  ".join(padded).rstrip()


def _coloured(row: Sequence[str], widths: Sequence[int]) -> str:
    cells = []
    for cell, width in zip(row, widths, strict=True):
        colour = _STATUS_COLOURS.get(cell)
        padded = cell.ljust(width)
        cells.append(click.style(padded, fg=colour) if colour else padded)
    return "  ".join(cells).rstrip()
