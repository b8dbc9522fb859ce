"""`make bench`: measure, print the table, write results/latest.json."""

import argparse
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

from . import gangs, idle, ledger, order, payouts, program, rest, starts, vouchers
from .market import running_market
from .report import Figure, table, write


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument(
        "--only", choices=("market", "order", "settlement", "gangs"), help="one part"
    )
    parser.add_argument("--rounds", type=int, default=20, help="container starts of each side")
    parser.add_argument("--idle-seconds", type=float, default=60, help="length of the idle watch")
    arguments = parser.parse_args()
    parts: dict[str, Callable[[], list[Figure]]] = {
        "market": partial(_market, arguments.rounds, arguments.idle_seconds),
        "order": _order,
        "settlement": _settlement,
        "gangs": gangs.measure,
    }
    chosen = [arguments.only] if arguments.only else list(parts)
    figures = [figure for part in chosen for figure in parts[part]()]
    write(figures)
    print(table(figures))


def _market(rounds: int, idle_seconds: float) -> list[Figure]:
    with (
        tempfile.TemporaryDirectory(prefix="neurogrid-bench-") as directory,
        running_market(Path(directory) / "devnet", nodes=2) as market,
    ):
        print("idle processes ...", flush=True)
        idle_figures = idle.measure(market, idle_seconds)
        print("container starts ...", flush=True)
        start_figures = starts.measure(market, rounds)
        print("REST ...", flush=True)
        return [*start_figures, *rest.measure(market), *idle_figures]


def _order() -> list[Figure]:
    print(
        "orders among 100 nodes, beside NATS and hivemind (minutes: its nodes join) ...", flush=True
    )
    return order.measure()


def _settlement() -> list[Figure]:
    print("the program's compute units, vouchers ...", flush=True)
    figures = [*program.measure(), *vouchers.measure()]
    print("payouts ...", flush=True)
    figures += payouts.measure()
    print("the ledger ...", flush=True)
    return [*figures, *ledger.measure()]


if __name__ == "__main__":
    main()
