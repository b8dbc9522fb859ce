"""Leases for use that are served before their escrows are seen: how far, and what is remembered where none comes."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

import trio

from neurogrid_marketplace.execution import accept
from neurogrid_marketplace.job_stream import StreamRefusal
from neurogrid_marketplace.lease import NodeLease
from neurogrid_marketplace.messages import Start
from neurogrid_marketplace.offer import LeasePhase
from neurogrid_marketplace.serving import Use
from neurogrid_marketplace.serving_ahead import LOSS_KEPT_MS
from neurogrid_marketplace.units import UnitPrices, Units
from neurogrid_node.journal import Journal
from neurogrid_node.use.losses import LOSSES_MAX, Losses, UnpaidUse
from neurogrid_node.use.place import UsePlace
from node.fakes import InlineJournal
from node.market import COORDINATOR, award

REPLICA = "lease_" + "9" * 32
# A token is a micro-USDC.
USE = Use(REPLICA, "m", UnitPrices(output_tokens=1_000_000), max_cost_micro_usdc=1_000)
LIMIT = 100


class Uses:
    """Leases for use, and a clock to turn."""

    def __init__(self, journal: Journal, limit_micro_usdc: int = LIMIT) -> None:
        self.leases: dict[str, NodeLease] = {}
        self.now_ms = 1_000_000
        self.journal = InlineJournal(journal)
        self.limit_micro_usdc = limit_micro_usdc
        self.restart()

    def restart(self) -> None:
        """The node is another process now; what it only knew is forgotten."""
        losses = Losses(
            self.journal.inline.unpaid_use(),
            lambda lost: self.journal.call(Journal.add_unpaid_use, lost),
        )
        self.place = UsePlace(
            *(self.leases.get, _no_escrow, lambda: self.now_ms, losses),
            ahead_micro_usdc=self.limit_micro_usdc,
        )

    def add(self, number: int, coordinator: str = COORDINATOR) -> str:
        """One that was accepted just now."""
        lease_id = f"lease_{number:032x}"
        self.leases[lease_id] = accept(
            award("0" * 64, lease_id=lease_id),
            *(coordinator, 60_000, self.now_ms),
            use=USE,
            max_unpaid_micro_usdc=10_000,
        )
        return lease_id

    def serve(self, lease_id: str, tokens: int) -> None:
        tally = self.place.tally_of(self.leases[lease_id])
        request = tally.begin()
        tally.passed(request, Units(output_tokens=tokens))
        tally.end(request)

    def refusal(self, lease_id: str) -> StreamRefusal | None:
        return self.place.refusal(self.leases[lease_id])

    async def ends(self, lease_id: str, **changes: object) -> None:
        """It is reported, and its runner clears up."""
        lease = replace(self.leases[lease_id], phase=LeasePhase.REPORTED, **changes)  # type: ignore[arg-type]  # a test's own names
        self.leases[lease_id] = lease
        await self.place.clear(lease_id)
        await self.place.forget(lease_id)
        del self.leases[lease_id]


@contextmanager
def uses_of(folder: Path, limit_micro_usdc: int = LIMIT) -> Iterator[Uses]:
    with closing(Journal(folder / "journal.db")) as journal:
        yield Uses(journal, limit_micro_usdc)


async def _no_escrow(lease: NodeLease, start: Start) -> int:
    await trio.sleep_forever()
    return 0


async def test_one_coordinators_unfunded_leases_share_what_is_let_go_ahead(tmp_path: Path) -> None:
    with uses_of(tmp_path) as uses:
        first, second, others = uses.add(1), uses.add(2), uses.add(3, "another")
        uses.serve(first, 60)
        assert uses.refusal(second) is None
        uses.serve(second, 40)
        # At the limit: what is under way may end, and no request begins.
        assert uses.refusal(first) is uses.refusal(second) is StreamRefusal.NOT_RUNNING
        assert not uses.place.must_wait(second)
        uses.serve(second, 1)
        assert uses.place.must_wait(first)
        assert uses.refusal(others) is None
        # One escrow is there: what was served under it is owed as any.
        uses.leases[first] = replace(uses.leases[first], phase=LeasePhase.RUNNING, started_at_ms=1)
        assert uses.refusal(first) is uses.refusal(second) is None


async def test_what_was_never_paid_counts_for_a_day(tmp_path: Path) -> None:
    with uses_of(tmp_path) as uses:
        first, second = uses.add(1), uses.add(2)
        uses.serve(first, 70)
        uses.serve(second, 30)
        await uses.ends(first)
        # It was seen, and is paid by its vouchers.
        await uses.ends(second, started_at_ms=1)
        third = uses.add(3)
        uses.serve(third, 30)
        assert uses.refusal(third) is StreamRefusal.NOT_RUNNING
        uses.now_ms += LOSS_KEPT_MS - 1
        assert uses.refusal(third) is StreamRefusal.NOT_RUNNING
        uses.now_ms += 1
        assert uses.refusal(third) is None


async def test_what_is_under_way_is_broken_off_with_its_lease(tmp_path: Path) -> None:
    with uses_of(tmp_path) as uses:
        lease_id = uses.add(1)
        with trio.fail_after(60):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(uses.place.until_stopped, lease_id)
                await uses.place.clear(lease_id)
        assert uses.refusal(lease_id) is StreamRefusal.NOT_RUNNING


async def test_who_lets_nobody_go_ahead_waits_for_every_escrow(tmp_path: Path) -> None:
    with uses_of(tmp_path, 0) as uses:
        assert uses.refusal(uses.add(1)) is StreamRefusal.NOT_RUNNING
        assert uses.place.must_wait(uses.add(2)) is False


async def test_one_that_is_being_stopped_is_not_served(tmp_path: Path) -> None:
    with uses_of(tmp_path) as uses:
        lease_id = uses.add(1)
        uses.leases[lease_id] = replace(uses.leases[lease_id], phase=LeasePhase.REPORTED)
        await uses.place.clear(lease_id)
        assert uses.refusal(lease_id) is StreamRefusal.NOT_RUNNING


async def test_what_was_never_paid_counts_after_a_restart_too(tmp_path: Path) -> None:
    with uses_of(tmp_path) as uses:
        first = uses.add(1)
        uses.serve(first, LIMIT)
        lease = uses.leases[first]
        await uses.ends(first)
        uses.restart()
        assert uses.refusal(uses.add(2)) is StreamRefusal.NOT_RUNNING
        assert uses.refusal(uses.add(3, "another")) is None
        # Killed before its runner had cleared up, it is cleared once more, and counts once.
        uses.leases[first] = replace(lease, served=Units(output_tokens=LIMIT))
        await uses.ends(first)
        uses.restart()
        assert [each.micro_usdc for each in uses.journal.inline.unpaid_use()] == [LIMIT]
        uses.now_ms += LOSS_KEPT_MS
        assert uses.refusal(uses.add(4)) is None


def test_the_journal_keeps_the_newest_of_what_was_never_paid(tmp_path: Path) -> None:
    with closing(Journal(tmp_path / "journal.db")) as journal:
        journal._db.execute(
            "with recursive n(i) as (select 1 union all select i + 1 from n where i < ?)"
            " insert into unpaid_use select 'lease_' || i, 'c', i, 1 from n",
            (LOSSES_MAX,),
        )
        assert journal.add_unpaid_use(UnpaidUse("lease_new", "c", LOSSES_MAX + 1, 1))
        kept = journal.unpaid_use()
        assert (len(kept), kept[0].lease_id, kept[-1].lease_id) == (
            *(LOSSES_MAX, "lease_2", "lease_new"),
        )
