"""From order to award among 100 connected nodes, beside NATS and hivemind's DHT, in turns.

The three are described in `contenders`. What they do differs: ours signs and checks every message, ranks
the bids and has the winner store its lease; NATS only carries bytes of the same length; hivemind's DHT
stores them where nodes can find them. All their nodes are up during all orders.
"""

import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from statistics import median, quantiles

from .contenders.contender import Contender, Joined, Order
from .report import Figure, beside

_REPOSITORY = Path(__file__).parents[1]
_PEERS_PYTHON = _REPOSITORY / "build/peers/bin/python"
_NATS_SERVER = _REPOSITORY / "build/debian/nats-server/usr/sbin/nats-server"
_NODES = 100
# Each is a process of 67 MiB that needs a second of CPU to join; a DHT of fewer is only faster.
_HIVEMIND_NODES = 32
_ROUNDS = 100
_WARM_UP = 5
_NATS, _HIVEMIND = "NATS, unsigned", f"hivemind's DHT of {_HIVEMIND_NODES}"


def measure() -> list[Figure]:
    """Latency, CPU, and what a connection costs."""
    subprocess.run([_REPOSITORY / "scripts/peers.sh", "order"], check=True)
    with ExitStack() as stack:
        ours = stack.enter_context(Contender(Path(sys.executable), "ours", str(_NODES)))
        joined = ours.join(_NODES)
        first = ours.order()
        payloads = json.dumps({name: "x" * size for name, size in first.answer["bytes"].items()})
        nats = stack.enter_context(
            Contender(_PEERS_PYTHON, "over_nats", str(_NODES), str(_NATS_SERVER), payloads)
        )
        nats_joined = nats.join(_NODES)
        hivemind = stack.enter_context(
            Contender(_PEERS_PYTHON, "over_hivemind", str(_HIVEMIND_NODES), payloads)
        )
        hivemind.join(_HIVEMIND_NODES)
        rounds = [[one.order() for one in (ours, nats, hivemind)] for _ in range(_ROUNDS)]
    assert joined is not None, "ours has a server"
    assert nats_joined is not None, "NATS has one, too"
    mine, theirs, stored = zip(*rounds[_WARM_UP:], strict=True)
    return [
        *_latency(mine, theirs, stored),
        *_cpu(mine, theirs, stored),
        *_connections(joined, nats_joined),
    ]


def _latency(
    mine: Sequence[Order], theirs: Sequence[Order], stored: Sequence[Order]
) -> list[Figure]:
    figures = []
    for suffix, of in (("", median), ("_p10", _tenth(0)), ("_p90", _tenth(8))):
        ours, nats, hivemind = (of([one.ms for one in side]) for side in (mine, theirs, stored))
        name = f"order_to_award{suffix}"
        figures.append(beside(f"{name}_ms", ours, "ms", _NATS, nats, len(mine)))
        figures.append(beside(f"{name}_dht_ms", ours, "ms", _HIVEMIND, hivemind, len(mine)))
    return figures


def _cpu(mine: Sequence[Order], theirs: Sequence[Order], stored: Sequence[Order]) -> list[Figure]:
    def center(orders: Sequence[Order]) -> float:
        return median(one.center_cpu_ms for one in orders)

    def everybody(orders: Sequence[Order]) -> float:
        return median(one.center_cpu_ms + one.nodes_cpu_ms for one in orders)

    asked: int = mine[0].answer["asked"]
    each = (center(mine) / asked, center(theirs) / asked)
    n = len(mine)
    return [
        beside("announcement_and_bid_cpu_ms", each[0], "ms", f"{_NATS}, server's side", each[1], n),
        beside("order_cpu_ms", everybody(mine), "ms", f"{_NATS}, all", everybody(theirs), n),
        beside(
            "order_cpu_dht_ms", everybody(mine), "ms", f"{_HIVEMIND}, all", everybody(stored), n
        ),
    ]


def _connections(ours: Joined, nats: Joined) -> list[Figure]:
    server = "NATS's server"
    return [
        beside("join_cpu_ms", ours.cpu_ms, "ms", server, nats.cpu_ms, _NODES),
        beside("connection_rss_kib", ours.rss_kib, "KiB", server, nats.rss_kib, _NODES),
        beside("connection_unique_kib", ours.uss_kib, "KiB", server, nats.uss_kib, _NODES),
    ]


def _tenth(index: int) -> Callable[[list[float]], float]:
    return lambda values: quantiles(values, n=10)[index]
