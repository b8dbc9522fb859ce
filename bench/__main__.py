"""`make bench`: measure, print the table, write results/latest.json."""

import argparse
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

from . import (
    client,
    endurance,
    gangs,
    idle,
    ledger,
    listeners,
    models,
    order,
    payouts,
    program,
    rest,
    starts,
    vouchers,
)
from .market import Market, running_market
from .report import Figure, table, write

# Of the coordinator, beside its own process: two cores for both.
_READERS = 1


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument(
        "--only",
        choices=("market", "rest", "client", "models", "node", "order", "settlement", "gangs"),
        help="one part",
    )
    parser.add_argument("--rounds", type=int, default=20, help="container starts of each side")
    parser.add_argument("--idle-seconds", type=float, default=60, help="length of the idle watch")
    parser.add_argument("--jobs", type=int, default=1000, help="that a node runs")
    parser.add_argument("--at-once", type=int, default=1, help="how many of them at the same time")
    arguments = parser.parse_args()
    parts: dict[str, Callable[[], list[Figure]]] = {
        "market": partial(_market, arguments.rounds, arguments.idle_seconds),
        "rest": _rest,
        "client": _client,
        "models": _models,
        "node": partial(_node, arguments.jobs, arguments.at_once),
        "order": _order,
        "settlement": _settlement,
        "gangs": gangs.measure,
    }
    # The market's part holds the facade's.
    chosen = [arguments.only] if arguments.only else [part for part in parts if part != "rest"]
    figures = [figure for part in chosen for figure in parts[part]()]
    write(figures)
    print(table(figures))


def _market(rounds: int, idle_seconds: float) -> list[Figure]:
    with (
        tempfile.TemporaryDirectory(prefix="neurogrid-bench-") as directory,
        running_market(Path(directory) / "devnet", nodes=2, readers=_READERS) as market,
    ):
        print("idle processes ...", flush=True)
        idle_figures = idle.measure(market, idle_seconds)
        print("container starts ...", flush=True)
        start_figures = starts.measure(market, rounds)
        return [*start_figures, *_facade(market), *idle_figures]


def _rest() -> list[Figure]:
    with (
        tempfile.TemporaryDirectory(prefix="neurogrid-bench-") as directory,
        running_market(Path(directory) / "devnet", nodes=1, readers=_READERS) as market,
    ):
        return _facade(market)


def _client() -> list[Figure]:
    with (
        tempfile.TemporaryDirectory(prefix="neurogrid-bench-") as directory,
        running_market(Path(directory) / "devnet", nodes=1) as market,
    ):
        return client.measure(market)


def _models() -> list[Figure]:
    with tempfile.TemporaryDirectory(prefix="neurogrid-bench-") as directory:
        devnet = Path(directory) / "devnet"
        with running_market(devnet, nodes=1) as market:
            return models.measure(market, devnet)


def _facade(market: Market) -> list[Figure]:
    print("1,000 listeners ...", flush=True)
    # First: what waits for a node has something to tell again and again.
    figures = listeners.measure(market)
    print("REST ...", flush=True)
    return [*figures, *rest.measure(market)]


def _node(jobs: int, at_once: int) -> list[Figure]:
    with tempfile.TemporaryDirectory(prefix="neurogrid-bench-") as directory:
        devnet = Path(directory) / "devnet"
        with running_market(devnet, nodes=1) as market:
            print(f"{jobs} jobs, {at_once} at once ...", flush=True)
            return endurance.measure(market, devnet, jobs, at_once)


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
