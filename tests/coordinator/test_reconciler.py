"""Real books beside the real program: each thing that somebody tampers with is seen, and nothing else."""

import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection

from coordinator.chain_parties import DAY_S, USDC, Parties, market, pubkey
from coordinator.on_asyncio import on_asyncio
from coordinator.records import new_task
from neurogrid_contracts.instructions import open_escrow, relinquish, withdraw
from neurogrid_coordinator.money.chain import OpenedEscrow
from neurogrid_coordinator.money.reconciler import UNDECIDED_MAX_MS, Reconciler
from neurogrid_coordinator.money.reconciliation import Kind
from neurogrid_coordinator.store import accounts, differences, leases, tasks
from neurogrid_coordinator.store.accounts import Account
from neurogrid_coordinator.store.database import Database
from neurogrid_marketplace import settlement
from neurogrid_marketplace.receipt import escrow_job_id
from neurogrid_marketplace.settlement import Settlement
from neurogrid_marketplace.task import Lease
from neurogrid_wallet.errors import RpcUnavailable
from neurogrid_wallet.rpc import Rpc

LEASE_MAX = 2 * USDC
# What `new_task` holds: an hour's price for a minute.
HELD = 60_000


@dataclass
class Scene:
    """A market, the books of its coordinator, and whoever compares them."""

    parties: Parties
    database: Database
    account: Account
    undecided: list[str] = field(default_factory=list)
    now_ms: int = field(default_factory=lambda: int(time.time() * 1000))

    def __post_init__(self) -> None:
        self.reconciler = self.with_rpc(self.parties.rpc)

    def with_rpc(self, rpc: Rpc, *, audits_per_look: int = 20) -> Reconciler:
        async def undecided() -> list[str]:
            return self.undecided

        return Reconciler(
            database=self.database,
            rpc=rpc,
            deployment=self.parties.deployment,
            operator=pubkey(self.parties.operator),
            voucher_signer=lambda _: self.parties.session.address,
            undecided=undecided,
            now_ms=lambda: self.now_ms,
            audits_per_look=audits_per_look,
        )

    async def lease(self, lease_id: str) -> OpenedEscrow:
        """A lease whose escrow is open, on the chain and in the books."""
        opened = await self.parties.chain.open(self.parties.terms(lease_id, LEASE_MAX))
        awarded = Lease(
            lease_id=lease_id,
            node_id="node",
            wallet=self.parties.provider.address,
            price_micro_usdc_per_hour=USDC,
            max_cost_micro_usdc=LEASE_MAX,
            demand_id="demand",
            bid_hash="hash",
        )

        def book(conn: Connection) -> None:
            row, _ = tasks.insert_new(conn, new_task(self.account.id), self.now_ms)
            leases.insert_new(conn, awarded, row.id, self.account.id, self.now_ms)
            leases.save_escrow(
                conn,
                lease_id,
                opened.address,
                opened.sequence,
                opened.transaction,
                self.now_ms,
            )
            present = settlement.opened(Settlement(lease_id, LEASE_MAX), self.now_ms)
            leases.save_settlement(conn, present, self.now_ms)

        await self.database.write(book)
        return opened

    async def settle(self, lease_id: str, **changes: Any) -> None:
        """Change what is booked about a lease's money."""

        def save(conn: Connection) -> None:
            row = leases.get(conn, lease_id)
            assert row is not None
            leases.save_settlement(conn, replace(row.settlement, **changes), self.now_ms)

        await self.database.write(save)

    async def settled(self, lease_id: str, by: str, paid: int) -> None:
        """Book that an escrow was closed."""
        await self.settle(
            lease_id,
            phase=settlement.SettlementPhase.CLOSED,
            closed_by=by,
            signed_micro_usdc=paid,
            paid_micro_usdc=paid,
        )

    async def looks_twice(self) -> list[tuple[Kind, str]]:
        """What two looks in a row agree on."""
        await self.reconciler.reconcile()
        found = await self.reconciler.reconcile()
        return [difference.key for difference in found]

    async def unresolved(self) -> list[tuple[Kind, str]]:
        stored = await self.database.read(differences.unresolved)
        return [seen.difference.key for seen in stored]


@asynccontextmanager
async def scene_on(ledger: dict[str, Any], folder: Path) -> AsyncIterator[Scene]:
    async with (
        market(ledger, folder) as parties,
        Database.open(folder / "coordinator.db") as database,
    ):
        await parties.stake()
        account = await database.write(accounts.create, "Ada", parties.client.address, 1)
        yield Scene(parties, database, account)


@on_asyncio
async def test_books_that_agree_with_the_chain_are_silent_through_a_leases_life(
    ledger: dict[str, Any], tmp_path: Path
) -> None:
    async with scene_on(ledger, tmp_path) as scene:
        assert await scene.looks_twice() == []
        opened = await scene.lease("lease_1")
        assert await scene.looks_twice() == []
        by = await scene.parties.claim("lease_1", opened, 1_500_000)
        await scene.settled("lease_1", by, 1_500_000)
        assert await scene.looks_twice() == []
        # It was read once, and is not read again.
        assert await scene.database.read(leases.settled_rows, unaudited=True) == []


@on_asyncio
async def test_a_tampered_row_is_the_one_difference_and_is_gone_when_it_is_mended(
    ledger: dict[str, Any], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with scene_on(ledger, tmp_path) as scene:
        await scene.lease("lease_1")
        await scene.lease("lease_2")
        await scene.settle("lease_1", max_cost_micro_usdc=LEASE_MAX + 1)
        with caplog.at_level(logging.ERROR):
            assert await scene.looks_twice() == [(Kind.ESCROW_DIFFERS, "lease_1")]
            for _ in range(3):
                await scene.reconciler.reconcile()
        assert len(caplog.records) == 1
        [seen] = await scene.database.read(differences.unresolved)
        assert "2000001" in seen.difference.booked
        assert "2000000" in seen.difference.found

        await scene.settle("lease_1", max_cost_micro_usdc=LEASE_MAX)
        assert await scene.reconciler.reconcile() == []
        assert await scene.unresolved() == []
        [resolved] = await scene.database.read(differences.list_all)
        assert resolved.resolved_at_ms is not None

        # The same again is another row: nothing of the first is overwritten.
        await scene.settle("lease_1", max_cost_micro_usdc=LEASE_MAX + 1)
        await scene.looks_twice()
        assert len(await scene.database.read(differences.list_all)) == 2


@on_asyncio
async def test_an_escrow_that_the_owner_opened_outside_is_seen(
    ledger: dict[str, Any], tmp_path: Path
) -> None:
    async with scene_on(ledger, tmp_path) as scene:
        await scene.lease("lease_1")
        parties = scene.parties
        await parties.pay(
            parties.client,
            open_escrow(
                parties.deployment,
                authority=pubkey(parties.client),
                client_owner=pubkey(parties.client),
                provider_owner=pubkey(parties.provider),
                job_id=escrow_job_id("of my own"),
                max_micro_usdc=USDC,
                deadline_unix_s=int(time.time()) + DAY_S,
                voucher_signer=pubkey(parties.session),
            ),
        )
        address = parties.chain.escrow_address(parties.client.address, "of my own")
        assert await scene.looks_twice() == [(Kind.ESCROW_WITHOUT_LEASE, address)]


@on_asyncio
async def test_a_deposit_withdrawn_and_a_limit_lowered_under_waiting_tasks_are_seen(
    ledger: dict[str, Any], tmp_path: Path
) -> None:
    async with scene_on(ledger, tmp_path) as scene:
        parties, wallet = scene.parties, scene.parties.client.address
        await scene.database.write(tasks.insert_new, new_task(scene.account.id), scene.now_ms)
        assert await scene.looks_twice() == []
        owner = pubkey(parties.client)
        await parties.pay(
            parties.client,
            withdraw(
                parties.deployment,
                owner=owner,
                destination=parties.deployment.token_account(owner),
                amount_micro_usdc=20 * USDC - HELD + 1,
            ),
        )
        assert await scene.looks_twice() == [(Kind.HOLDS_UNCOVERED, wallet)]
        await parties.allow(HELD - 1)
        assert await scene.looks_twice() == [
            (Kind.HOLDS_UNCOVERED, wallet),
            (Kind.LIMIT_UNCOVERED, wallet),
        ]


@on_asyncio
async def test_an_escrow_closed_behind_our_back_is_seen_unless_our_payment_is_in_flight(
    ledger: dict[str, Any], tmp_path: Path
) -> None:
    async with scene_on(ledger, tmp_path) as scene:
        parties = scene.parties
        await scene.lease("lease_1")
        await parties.pay(
            parties.provider,
            relinquish(
                parties.deployment,
                client_owner=pubkey(parties.client),
                provider_owner=pubkey(parties.provider),
                job_id=escrow_job_id("lease_1"),
                rent_payer=pubkey(parties.operator),
            ),
        )
        scene.undecided = ["refund:lease_1:0"]
        assert await scene.looks_twice() == []
        scene.undecided = []
        assert await scene.looks_twice() == [(Kind.ESCROW_MISSING, "lease_1")]


@on_asyncio
async def test_what_a_settled_lease_paid_and_by_which_transaction_is_read_from_the_history(
    ledger: dict[str, Any], tmp_path: Path
) -> None:
    async with scene_on(ledger, tmp_path) as scene:
        closed_by = {}
        for lease_id in ("lease_1", "lease_2", "lease_3"):
            opened = await scene.lease(lease_id)
            closed_by[lease_id] = await scene.parties.claim(lease_id, opened, USDC)
        await scene.settled("lease_1", closed_by["lease_1"], USDC - 1)
        await scene.settled("lease_2", closed_by["lease_1"], USDC)
        await scene.settled("lease_3", closed_by["lease_3"], USDC)
        expected = [
            (Kind.PAID_DIFFERS, "lease_1"),
            (Kind.PAID_BEYOND_SIGNED, "lease_1"),
            (Kind.CLOSING_DIFFERS, "lease_2"),
        ]
        assert await scene.looks_twice() == expected
        # They stay, and go when the books are mended; the third was read once and for all.
        assert await scene.reconciler.reconcile() != []
        assert await scene.unresolved() == expected
        await scene.settled("lease_1", closed_by["lease_1"], USDC)
        await scene.settled("lease_2", closed_by["lease_2"], USDC)
        assert await scene.reconciler.reconcile() == []
        assert await scene.unresolved() == []

        # Tampered with after it was read: only who reads all of the history again finds it.
        await scene.settled("lease_3", closed_by["lease_3"], 2 * USDC)
        assert await scene.looks_twice() == []
        await scene.reconciler.reconcile(audit_since_ms=0)
        found = await scene.reconciler.reconcile(audit_since_ms=0)
        assert [difference.key for difference in found] == [(Kind.PAID_DIFFERS, "lease_3")]


@on_asyncio
async def test_leases_that_differ_do_not_keep_others_from_being_read(
    ledger: dict[str, Any], tmp_path: Path
) -> None:
    async with scene_on(ledger, tmp_path) as scene:
        scene.reconciler = scene.with_rpc(scene.parties.rpc, audits_per_look=1)
        for lease_id in ("lease_1", "lease_2", "lease_3"):
            opened = await scene.lease(lease_id)
            by = await scene.parties.claim(lease_id, opened, USDC)
            await scene.settled(lease_id, by, USDC + 1)
        for _ in range(6):
            await scene.reconciler.reconcile()
        assert await scene.unresolved() == [
            (Kind.PAID_DIFFERS, lease_id) for lease_id in ("lease_1", "lease_2", "lease_3")
        ]


@on_asyncio
async def test_a_payment_that_stays_undecided_is_a_difference(
    ledger: dict[str, Any], tmp_path: Path
) -> None:
    async with scene_on(ledger, tmp_path) as scene:
        scene.undecided = ["open:lease_9"]
        assert await scene.looks_twice() == []
        scene.now_ms += UNDECIDED_MAX_MS + 1
        assert await scene.looks_twice() == [(Kind.PAYMENT_UNDECIDED, "open:lease_9")]
        scene.undecided = []
        assert await scene.looks_twice() == []


@on_asyncio
async def test_a_chain_that_is_away_resolves_nothing(
    ledger: dict[str, Any], tmp_path: Path
) -> None:
    async with scene_on(ledger, tmp_path) as scene:
        await scene.lease("lease_1")
        await scene.settle("lease_1", max_cost_micro_usdc=1)
        assert await scene.looks_twice() != []
        async with Rpc("http://127.0.0.1:1") as nowhere:
            with pytest.raises(RpcUnavailable):
                await scene.with_rpc(nowhere).reconcile()
        assert await scene.unresolved() == [(Kind.ESCROW_DIFFERS, "lease_1")]
