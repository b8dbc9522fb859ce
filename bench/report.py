"""One measured number, the table that people read, and the file that programs read."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

RESULTS = Path(__file__).parent / "results" / "latest.json"


@dataclass(frozen=True, slots=True)
class Figure:
    """A number beside its floor or peer.

    Attributes:
        beside: what it is compared with, measured in the same run; beside_value in the same unit.
        ratio: value / beside_value, the part that survives a noisy machine; None where the value
            is itself a difference or a ratio.
        n: how many measurements the medians come from.
    """

    name: str
    value: float
    unit: str
    beside: str
    beside_value: float | None
    ratio: float | None
    n: int


def beside(name: str, value: float, unit: str, floor: str, floor_value: float, n: int) -> Figure:
    """A figure with its ratio."""
    ratio = value / floor_value if floor_value else None
    return Figure(name, round(value, 3), unit, floor, round(floor_value, 3), ratio, n)


def table(figures: list[Figure]) -> str:
    """Aligned text."""
    rows = [("figure", "value", "unit", "beside", "its value", "ratio", "n")]
    for figure in figures:
        rows.append(
            (
                figure.name,
                f"{figure.value:g}",
                figure.unit,
                figure.beside,
                "" if figure.beside_value is None else f"{figure.beside_value:g}",
                "" if figure.ratio is None else f"{figure.ratio:.3g}",
                str(figure.n),
            )
        )
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )


def write(figures: list[Figure]) -> None:
    """Replace results/latest.json."""
    RESULTS.parent.mkdir(exist_ok=True)
    content = json.dumps([asdict(figure) for figure in figures], indent=2) + "\n"
    partial = RESULTS.with_suffix(".partial")
    partial.write_text(content)
    partial.replace(RESULTS)
