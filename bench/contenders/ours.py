"""Our market: the api's own client, its market child, and nodes in four processes.

An order is an auction among eight of the nodes and the award to the best, with everything that the wire
protocol asks: signatures both ways, second score, and the lease in the winner's journal.
"""

import asyncio
import secrets
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from neurogrid_coordinator.market.client import MarketClient
from neurogrid_coordinator.market.deliveries import NodeChange
from neurogrid_coordinator.market.reports import AuctionReport, NodeView
from neurogrid_coordinator.market.settings import MarketSettings
from neurogrid_marketplace.demand import Demand
from neurogrid_marketplace.messages import Award
from neurogrid_marketplace.resources import Requirements
from neurogrid_marketplace.wire import encode_frame
from neurogrid_wallet.keys import KeyPair

from .lines import Worker, commands, say

_NETWORK = "ng-0123456789abcdef"
_PROCESSES = 4
_UP_LIMIT_S = 120


class _Attendance:
    """Tells when enough nodes have joined."""

    def __init__(self, count: int) -> None:
        self.complete = asyncio.Event()
        self._count = count
        self._seen: set[str] = set()

    async def node_changed(self, node_id: str, change: NodeChange, view: NodeView) -> None:
        """See `MarketClient`."""
        self._seen.add(node_id)
        if len(self._seen) == self._count:
            self.complete.set()

    async def message_received(self, *said: object) -> None:
        """See `MarketClient`; nodes without work say nothing."""


def _demand() -> Demand:
    return Demand(
        demand_id=f"demand_{secrets.token_hex(16)}",
        job_hash="0" * 64,
        requirements=Requirements(),
        image="neurogrid/true:1",
        input_bytes=0,
        max_price_micro_usdc_per_hour=1_000_000,
        timeout_s=60,
        bid_window_ms=5_000,
        voucher_interval_s=30,
        dead_after_s=60,
    )


def _award(demand: Demand, report: AuctionReport) -> Award:
    best, *others = report.ranking
    return Award(
        lease_id=f"lease_{secrets.token_hex(16)}",
        demand_id=demand.demand_id,
        demand_hash=demand.hash(),
        bid_hash=best.bid_hash,
        other_bid_hashes=tuple(sorted(other.bid_hash for other in others)),
        price_micro_usdc_per_hour=best.award_price_micro_usdc_per_hour,
        max_cost_micro_usdc=demand.max_cost_micro_usdc(),
        timeout_s=demand.timeout_s,
        voucher_interval_s=demand.voucher_interval_s,
        job_hash=demand.job_hash,
    )


async def _order(market: MarketClient) -> dict[str, Any]:
    demand = _demand()
    started_s = time.perf_counter()
    report = await market.hold_auction(demand)
    winner = report.ranking[0].node_id
    said = await market.award(winner, _award(demand, report))
    taken_ms = (time.perf_counter() - started_s) * 1000
    if not said.accepted or said.award is None or said.answer is None:
        raise RuntimeError(f"the award was answered with {said.code}")
    messages = {
        "demand": report.demands[winner],
        "bid": report.bids[winner],
        "award": said.award,
        "accept": said.answer,
    }
    return {
        "ms": taken_ms,
        "asked": len(report.demands),
        "bytes": {name: len(encode_frame(dict(one.to_dict()))) for name, one in messages.items()},
    }


async def _join(
    market: MarketClient, attendance: _Attendance, count: int, directory: Path
) -> list[Worker]:
    each = str(count // _PROCESSES)
    arguments = (market.addresses[0], _NETWORK, each, str(directory))
    workers = [
        await Worker.start(f"{__package__}.ours_nodes", *arguments) for _ in range(_PROCESSES)
    ]
    async with asyncio.timeout(_UP_LIMIT_S):
        await attendance.complete.wait()
    return workers


async def _main(count: int, directory: Path) -> None:
    key_file = directory / "coordinator.json"
    KeyPair.generate().write_solana_file(key_file)
    settings = MarketSettings(str(key_file), _NETWORK, ("/ip4/127.0.0.1/tcp/0",))
    workers: list[Worker] = []
    attendance = _Attendance(count)
    async with MarketClient(
        settings, attendance.message_received, attendance.node_changed
    ) as market:
        say({"server": market.pid})
        async for command in commands():
            if command == "join":
                workers = await _join(market, attendance, count, directory)
                say({"nodes": [worker.pid for worker in workers]})
            else:
                say(await _order(market))
        for worker in workers:
            await worker.stop()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="neurogrid-bench-order-") as path:
        asyncio.run(_main(int(sys.argv[1]), Path(path)))
