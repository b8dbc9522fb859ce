"""`make bench`: measure, print the table, write results/latest.json."""

import argparse
import tempfile
from pathlib import Path

from . import idle, rest, starts
from .market import running_market
from .report import table, write


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--rounds", type=int, default=20, help="container starts of each side")
    parser.add_argument("--idle-seconds", type=float, default=60, help="length of the idle watch")
    arguments = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="neurogrid-bench-") as directory,
        running_market(Path(directory) / "devnet", nodes=2) as market,
    ):
        print("idle processes ...", flush=True)
        idle_figures = idle.measure(market, arguments.idle_seconds)
        print("container starts ...", flush=True)
        start_figures = starts.measure(market, arguments.rounds)
        print("REST ...", flush=True)
        rest_figures = rest.measure(market)
    figures = [*start_figures, *rest_figures, *idle_figures]
    write(figures)
    print(table(figures))


if __name__ == "__main__":
    main()
