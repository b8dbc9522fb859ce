"""Nodes that answer with vectors, transcripts, pictures, texts by a seed and counts of others' making, and the checks that find them out.

What a check sees is drawn from what real models' answers were measured to be (`measured`), and weighed by the very rules of a
coordinator. `python -m simulation.answer_cheats` in tests/ writes the tables of docs/model-checks.md.
"""

import random
import statistics
from collections.abc import Mapping
from dataclasses import dataclass

from neurogrid_marketplace.suspicion import Charge, Suspicion

from .measured import Measured, kept
from .model_cheats import PAGE, Found

BEGIN, END_MARK = "<!-- measured: begin -->\n", "<!-- measured: end -->\n"
CHECKS_MAX = 1000


@dataclass(frozen=True, slots=True)
class Servers:
    """Who serves one kind of answer.

    Attributes:
        honest: those whose answers the model itself gives; the first is the usual one.
        cheats: those that are found, and as what.
        unseen: those that are not told from honest ones, or not always.
    """

    honest: tuple[str, ...]
    cheats: Mapping[str, Charge]
    unseen: tuple[str, ...] = ()


_OTHER = Charge.SUBSTITUTES
ALL: Mapping[str, Servers] = {
    "vectors": Servers(
        ("as a Haswell computes", "as a Prescott computes", "float16", "bfloat16"),
        {"6 bits": _OTHER, "5 bits": _OTHER, "4 bits": _OTHER, "a layer less": _OTHER},
        ("8 bits",),
    ),
    "transcripts": Servers(
        ("without AVX-512",),
        {"4 bits": _OTHER, "the smaller model": _OTHER},
        ("32-bit numbers", "6 bits"),
    ),
    "pictures": Servers(
        ("other kernels",),
        {
            "8 bits": _OTHER,
            "6 bits": _OTHER,
            "4 bits": _OTHER,
            "one step for two": _OTHER,
            "a smaller picture": _OTHER,
        },
    ),
    "seeded texts": Servers(
        ("on another processor",),
        {"8 bits": _OTHER, "6 bits": _OTHER, "4 bits": _OTHER, "a layer less": _OTHER},
        ("in 16 bits",),
    ),
    "counts": Servers(
        ("a temperature of 0.7", "a temperature of 1", "a temperature of 1.3"),
        {
            "a temperature of 0.7, 50 % more": Charge.OVERCOUNTS,
            "a temperature of 1.3, 50 % more": Charge.OVERCOUNTS,
        },
        ("a temperature of 0.7, 10 % more", "a temperature of 1.3, 10 % more"),
    ),
}


def serve(measured: Measured, server: str, honest: str, seed: int, *, share: float = 1.0) -> Found:
    """Have a node serve so in a share of its answers, honestly in the others, until it is charged or was checked often."""
    lot = random.Random(seed)
    known = Suspicion()
    while known.charge is None and known.checks < CHECKS_MAX:
        kind = server if lot.random() < share else honest
        known = known.after(lot.choice(measured[kind]), f"acct_{known.checks % 2}")
    return Found(known.charge, known.checks, known.checks, known.against)


def table(seeds: int = 100) -> str:
    """As the page has it."""
    lines = [
        "| answers | of a server | apart: median, most | of so many answers checks see it in | found | after checks: median, most | in half of its answers: found | median |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for kind, servers in ALL.items():
        measured = kept()[kind]
        for name in (*servers.honest, *servers.cheats, *servers.unseen):
            each = measured[name]
            apart = sorted(seen.apart for seen in each)
            far = sum(seen.speaks_against for seen in each)
            whole, half = (
                [
                    serve(measured, name, servers.honest[0], seed, share=share)
                    for seed in range(seeds)
                ]
                for share in (1.0, 0.5)
            )
            middle = f"{apart[len(apart) // 2]:.2g}, {apart[-1]:.2g}" if apart[-1] else "-"
            cells = [
                kind,
                name,
                middle,
                f"{far} of {len(each)}",
                *_found(whole),
                *_found(half, most=False),
            ]
            lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _found(found: list[Found], *, most: bool = True) -> tuple[str, str]:
    checks = [each.checks for each in found if each.charge is not None]
    share = f"{len(checks)} of {len(found)}"
    if not checks:
        return share, "-"
    median = f"{statistics.median(checks):g}"
    return share, f"{median}, {max(checks)}" if most else median


def main() -> None:
    """See the module."""
    made = table()
    print(made)
    before, rest = PAGE.read_text().split(BEGIN)
    _, after = rest.split(END_MARK)
    PAGE.write_text(before + BEGIN + made + END_MARK + after)


if __name__ == "__main__":
    main()
