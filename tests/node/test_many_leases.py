"""What a node keeps of leases that are over: as much after many as after few."""

import gc
import logging
from collections import Counter, OrderedDict, deque
from pathlib import Path
from typing import cast

import pytest
import trio
from trio._core._run import GLOBAL_RUN_CONTEXT
from trio.testing import MockClock

from neurogrid_marketplace.lease import Boot, NodeLease
from neurogrid_marketplace.messages import VoucherMessage
from neurogrid_node.journal import Journal
from neurogrid_node.lease.executor import LeaseRunner, Reports
from neurogrid_node.lease.sandbox import Sandbox
from neurogrid_node.market.provider import Provider
from neurogrid_node.market.reservations import Reservations
from neurogrid_node.money.earnings import Earnings
from node.fakes import (
    GOOD_SIGNATURE,
    FakeEarnings,
    FakeLink,
    FakeSandbox,
    FakeStream,
    InlineJournal,
)
from node.market import COORDINATOR, JOB, NOW_MS, OFFER, POLICY, TOTAL, award, demand, start

# Of what the journal lists: fewer than there will be, so that it is full when it is looked at first.
LISTED = 5
FEW, MANY = 15, 45
_HOLDERS = (dict, list, set, frozenset, deque, OrderedDict)


class Shop:
    """A provider and the runners of its leases, over fakes of engine, chain and coordinator."""

    def __init__(self, journal: Journal, nursery: trio.Nursery) -> None:
        self.journal = InlineJournal(journal)
        self.link = FakeLink(COORDINATOR)
        self.sandbox = FakeSandbox(self.now_ms)
        self.earnings = FakeEarnings()
        self.stream = FakeStream()
        self._nursery = nursery
        self.provider = Provider(
            OFFER,
            policy=POLICY,
            max_unpaid_ms=60_000,
            reservations=Reservations(TOTAL),
            journal=self.journal,
            image_bytes=self._image_bytes,
            start_runner=self._start_runner,
            now_ms=self.now_ms,
        )
        self.provider.accepting = True
        self.provider.links = {COORDINATOR: self.link}

    def now_ms(self) -> int:
        return NOW_MS + round(trio.current_time() * 1000)

    async def _image_bytes(self, reference: str) -> int | None:
        return 7

    def _start_runner(self, lease: NodeLease, *, resumed: bool = False) -> LeaseRunner:
        runner = LeaseRunner(
            lease,
            journal=self.journal,
            sandbox=cast(Sandbox, self.sandbox),
            earnings=cast(Earnings, self.earnings),
            link=self.stream,
            now_ms=self.now_ms,
            boot=lambda: Boot("first", NOW_MS),
            reports=Reports(self.provider.started, self.provider.cleared, self.provider.forgotten),
        )
        self._nursery.start_soon(lambda: runner.run(resumed=resumed))
        return runner

    async def work(self, number: int) -> None:
        """One lease, from its demand to the end."""
        asked = demand(demand_id=f"demand_{number:032x}")
        await self.provider.received(self.link, asked)
        won = award(self.link.envelopes[-1].hash(), asked, lease_id=f"lease_{number:032x}")
        await self.provider.received(self.link, won)
        runner = self.provider.runners[won.lease_id]
        runner.received(start(lease_id=won.lease_id, job=JOB))
        with trio.fail_after(3600):
            while not runner.lease.claim_transaction:
                await trio.sleep(1)
                runner.received(self.stream.acknowledgement())
                runner.received(VoucherMessage(won.lease_id, 7, GOOD_SIGNATURE, True))
            runner.received(self.stream.acknowledgement(closed=True))
            while self.provider.runners:  # noqa: ASYNC110 - what is waited for has no event
                await trio.sleep(1)
        self._wipe()

    def _wipe(self) -> None:
        """The fakes outlive the lease, and note what they were told."""
        self.earnings.is_open = True
        for noted in (
            *(self.link.sent, self.link.envelopes, self.stream.sent, self.stream.attached),
            *(self.sandbox.calls, self.sandbox.forgotten),
            *(self.earnings.redeemed, self.earnings.forgotten),
        ):
            noted.clear()


async def test_a_lease_that_is_over_leaves_nothing_in_memory_and_a_line_in_the_journal(
    autojump_clock: MockClock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # pytest keeps what is logged, and what it is about.
    monkeypatch.setattr(logging.root.manager, "disable", logging.CRITICAL)
    journal = Journal(tmp_path / "journal.db", earnings_listed=LISTED, past_kept=LISTED)
    try:
        async with trio.open_nursery() as nursery:
            shop = Shop(journal, nursery)
            for number in range(FEW):
                await shop.work(number)
            few, few_pages = _kept(), _pages(journal)
            for number in range(FEW, MANY):
                await shop.work(number)
            grown = {
                kind: count - few[kind]
                for kind, count in _kept(but=few).items()
                if count - few[kind] >= (MANY - FEW) // 2
            }
            assert grown == {}
            assert _pages(journal) == few_pages
            assert len(journal.past(MANY)) == LISTED
            assert journal.earnings().leases == MANY
            nursery.cancel_scope.cancel()
    finally:
        journal.close()


def _kept(but: object = None) -> Counter[str]:
    """How many objects of each kind there are, and how much is in those that hold others."""
    # Of deadlines that are over it keeps up to a thousand before it looks.
    GLOBAL_RUN_CONTEXT.runner.deadlines._prune()
    gc.collect()
    kept: Counter[str] = Counter()
    for each in gc.get_objects():
        if each is but:
            continue
        kind = f"{type(each).__module__}.{type(each).__qualname__}"
        kept[kind] += 1
        if isinstance(each, _HOLDERS):
            kept[f"in {kind}"] += len(each)
    return kept


def _pages(journal: Journal) -> int:
    """How large the file is."""
    (pages,) = journal._db.execute("pragma page_count").fetchone()
    return int(pages)
