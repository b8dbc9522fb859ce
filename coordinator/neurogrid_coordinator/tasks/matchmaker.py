"""Finding a node for one task: the auction and the award, as events for the task.

What an award says is built from what is stored, so that it is the same however often it is sent.
"""

import asyncio
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import Protocol

from sqlalchemy import Connection

from neurogrid_marketplace.awarding import demand_of
from neurogrid_marketplace.demand import Demand
from neurogrid_marketplace.envelope import Envelope
from neurogrid_marketplace.fields import decode
from neurogrid_marketplace.messages import Accept, Award, Message
from neurogrid_marketplace.offer import Offer
from neurogrid_marketplace.preemption import excluded_at
from neurogrid_marketplace.price_history import PriceClass, class_of
from neurogrid_marketplace.sealing import Reveal
from neurogrid_marketplace.spreading import NOBODY, Barred
from neurogrid_marketplace.task import Lease, Task
from neurogrid_marketplace.task_events import AuctionClosed, Refused
from neurogrid_telemetry.traces import OFF, Traces

from ..market.reports import AuctionReport, AwardReport
from ..store import evidence, prices
from ..store.database import Database
from . import node_messages, steps
from .steps import Step

Clock = Callable[[], int]


class Market(Protocol):
    """What the orchestrator needs of the market; is a `market.client.MarketClient`."""

    @property
    def pid(self) -> int | None:
        """Of the market process; None while it is away."""

    def offer(self, node_id: str) -> Offer | None:
        """What a node offers; None if it is not connected."""

    async def hold_auction(
        self,
        demand: Demand,
        excluded: tuple[str, ...] = (),
        owners_excluded: tuple[str, ...] = (),
        places: Barred = NOBODY,
    ) -> AuctionReport:
        """Auction a demand."""

    async def award(self, node_id: str, award: Award) -> AwardReport:
        """Offer a lease and wait for the answer."""

    async def send(self, node_id: str, message: Message, *, is_last: bool = False) -> Envelope:
        """Send a message; ``is_last`` of its lease."""


@dataclass(frozen=True, slots=True)
class Auctioned:
    """How an auction went.

    Attributes:
        step: what it made of the task; None if that is not there.
        asked: whether any node was asked.
    """

    step: Step | None
    asked: bool


class Matchmaker:
    """Holds auctions and offers leases.

    Args:
        traces: where auctions and awards are recorded.
    """

    def __init__(self, database: Database, market: Market, traces: Traces = OFF) -> None:
        self._database = database
        self._market = market
        self._traces = traces
        self._gangs_ask = asyncio.Lock()

    async def auction(self, task: Task, account_id: str, now_ms: Clock) -> Auctioned:
        """Hold the auction of a task that is matching, and store how it went.

        Raises:
            MarketError: it did not come about; ask again.
        """
        # Two gangs that ask the same nodes at once would each get some of them, and neither enough.
        gangs = self._gangs_ask if task.membership is not None else nullcontext()
        async with gangs:
            with self._traces.within("task.auction", task.trace, task=task.task_id) as span:
                auctioned = await self._auction(task, account_id, now_ms)
                if auctioned.step is not None:
                    span.note(phase=auctioned.step.after.phase)
                return auctioned

    async def award(self, task: Task, now_ms: Clock) -> Step | None:
        """Offer the lease of a task that is awarded, and store the answer.

        Raises:
            MarketError: nothing is known; ask again.
        """
        lease = task.lease
        assert lease is not None, "an awarded task has a lease"
        about_it = {"task": task.task_id, "lease": lease.lease_id, "node": lease.node_id}
        with self._traces.within("task.award", task.trace, **about_it) as span:
            step = await self._award(task, lease, now_ms)
            if step is not None:
                span.note(phase=step.after.phase)
            return step

    async def _auction(self, task: Task, account_id: str, now_ms: Clock) -> Auctioned:
        demand = demand_of(task)
        places = NOBODY
        if task.spread is not None:
            places = await self._database.read(steps.barred_for, task, account_id)
        excluded = excluded_at(task, now_ms())
        report = await self._market.hold_auction(demand, excluded, task.owners_excluded, places)
        closed = AuctionClosed(demand.demand_id, report.ranking, report.explanation.sentence())
        # An auction without answers leaves nothing to prove. A commitment without its bid does.
        bidders = [ranked.node_id for ranked in report.ranking]
        kept = [report.demands[node_id] for node_id in dict.fromkeys((*bidders, *report.commits))]
        kept += [*report.commits.values(), *report.reveals.values()]
        kept += [report.bids[node_id] for node_id in bidders]
        proof = [(demand.demand_id, envelope) for envelope in kept]
        step = await self._database.write(steps.take, task.task_id, closed, now_ms(), proof)
        return Auctioned(step, bool(report.demands))

    async def _award(self, task: Task, lease: Lease, now_ms: Clock) -> Step | None:
        award = await self._database.read(award_of, task, lease)
        bought = class_of(task.demand, self._market.offer(lease.node_id))
        report = await self._market.award(lease.node_id, award)
        if report.accepted and report.award is not None and report.answer is not None:
            accept = decode(Accept, report.answer.body)
            return await self._database.write(
                _take_accept, lease, report.answer, accept, report.award, bought, now_ms()
            )
        refused = Refused(lease.lease_id, report.code)
        return await self._database.write(steps.take, task.task_id, refused, now_ms())


def _take_accept(
    conn: Connection,
    lease: Lease,
    answer: Envelope,
    accept: Accept,
    award: Envelope,
    bought: PriceClass,
    now_ms: int,
) -> Step | None:
    """Store an accept, and note what it cleared at; one that was known already clears nothing.

    What a replica is kept for, and what its use costs, say nothing of what machines cost by the hour.
    """
    step = node_messages.take_accept(conn, lease.node_id, answer, accept, award, now_ms)
    of_time = lease.unit_prices is None
    if step is not None and step.moved and of_time:
        prices.add(conn, bought, lease.price_micro_usdc_per_hour, lease.bid_start_ms, now_ms)
    return step


def award_of(conn: Connection, task: Task, lease: Lease) -> Award:
    """The award of a lease."""
    demand = replace(task.demand, demand_id=lease.demand_id)
    bids = [envelope.hash() for envelope in evidence.of(conn, lease.demand_id, "bid")]
    # Sent to every node that had committed; the list is the same in each.
    reveals = evidence.of(conn, lease.demand_id, "reveal")
    return Award(
        lease_id=lease.lease_id,
        demand_id=lease.demand_id,
        demand_hash=demand.hash(),
        bid_hash=lease.bid_hash,
        other_bid_hashes=tuple(sorted(digest for digest in bids if digest != lease.bid_hash)),
        price_micro_usdc_per_hour=lease.price_micro_usdc_per_hour,
        max_cost_micro_usdc=lease.max_cost_micro_usdc,
        timeout_s=demand.timeout_s,
        voucher_interval_s=demand.voucher_interval_s,
        job_hash=demand.job_hash,
        start_factors_permille=lease.start_factors_permille,
        reveal_hash=decode(Reveal, reveals[0].body).hash() if reveals else "",
        unit_prices=lease.unit_prices,
    )
