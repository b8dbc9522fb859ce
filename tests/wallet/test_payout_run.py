"""Runs of payments on a real ledger, and a lookup table's whole life, whatever is killed."""

import random
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import anyio
import pytest
from solders.address_lookup_table_account import ID as LOOKUP_TABLE_PROGRAM
from solders.address_lookup_table_account import AddressLookupTableAccount
from solders.pubkey import Pubkey

from contracts.ledger_process import LedgerProcess
from neurogrid_wallet.batches import Payout, one_after_the_other
from neurogrid_wallet.errors import (
    LookupTableFull,
    OutboxCorrupt,
    PaymentConflict,
    PayoutRunConflict,
)
from neurogrid_wallet.keys import KeyPair
from neurogrid_wallet.lookup_table import deactivate
from neurogrid_wallet.outbox import Outbox
from neurogrid_wallet.payout_run import Outcome, PayoutRun
from neurogrid_wallet.payouts import to_token_account
from neurogrid_wallet.rpc import Rpc
from neurogrid_wallet.stored_json import read_json, write_json
from neurogrid_wallet.stored_table import StoredTable
from neurogrid_wallet.transactions import signers_from
from neurogrid_wallet.usdc import create_token_account, token_address
from wallet import batch_payer
from wallet.fake_chain import FakeChain
from wallet.fake_rpc import serve
from wallet.killing import Scene
from wallet.lives import POLICY
from wallet.lossy_line import Line
from wallet.payer import amount_micro_usdc, recipient

pytestmark = pytest.mark.processes

FUNDS_MICRO_USDC = 10_000_000
FUNDS_LAMPORTS = 10**10
BASE_FEE_LAMPORTS = 5000
# 182 slots until a lost transaction has expired and 513 until a table may be closed: 1 s and 3 s.
OPTIONS = ("--no-program", "--slot-ms", "6")


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LedgerProcess]:
    with LedgerProcess(tmp_path_factory.mktemp("ledger"), *OPTIONS) as process:
        yield process


@dataclass
class Payer:
    """Somebody with money and an outbox that runs."""

    key: KeyPair
    mint: Pubkey
    rpc: Rpc
    outbox: Outbox
    folder: Path

    @property
    def owner(self) -> Pubkey:
        return Pubkey(self.key.public_key)

    def payouts(self, count: int) -> list[Payout]:
        return batch_payer.payouts(self.key, self.mint, count)

    def run(
        self,
        payouts: list[Payout],
        *,
        outbox: Outbox | None = None,
        tables: tuple[AddressLookupTableAccount, ...] = (),
    ) -> PayoutRun[Payout]:
        return PayoutRun(
            "payday",
            payouts,
            one_after_the_other,
            outbox=outbox or self.outbox,
            payer=self.owner,
            path=self.folder / "run.json",
            lookup_tables=tables,
        )

    def table(self) -> StoredTable:
        return StoredTable(
            "recipients",
            self.folder / "table.json",
            outbox=self.outbox,
            rpc=self.rpc,
            authority=self.owner,
        )

    def recipients(self, count: int) -> list[Pubkey]:
        return [token_address(recipient(self.key, number), self.mint) for number in range(count)]

    async def open_accounts(self, count: int) -> None:
        """Every recipient but the unpayable one gets a token account."""
        numbers = [number for number in range(count) if number != batch_payer.UNPAYABLE]
        for start in range(0, count, 7):
            made = [
                create_token_account(self.owner, recipient(self.key, number), self.mint)
                for number in numbers[start : start + 7]
            ]
            if made:
                await self.outbox.submit(f"accounts {start}", made, self.owner)
        for start in range(0, count, 7):
            if numbers[start : start + 7]:
                await self.outbox.finalized(f"accounts {start}", 60)

    async def received(self, count: int) -> list[int]:
        accounts = await self.rpc.get_accounts(self.recipients(count))
        return [int.from_bytes(found.data[64:72], "little") if found else 0 for found in accounts]


@asynccontextmanager
async def payer_on(ledger: LedgerProcess, folder: Path) -> AsyncIterator[Payer]:
    key = KeyPair.generate()
    signers = signers_from([key])
    async with (
        Rpc(ledger.url) as rpc,
        Outbox(folder / "outbox.sqlite", rpc=rpc, signers=signers, policy=POLICY) as outbox,
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(outbox.run)
        await rpc.request_airdrop(Pubkey(key.public_key), FUNDS_LAMPORTS)
        await rpc.call("neurogrid_requestUsdc", [key.address, FUNDS_MICRO_USDC])
        yield Payer(key, Pubkey.from_string(ledger.info["usdc_mint"]), rpc, outbox, folder)
        tasks.cancel_scope.cancel()


def due(count: int) -> list[int]:
    """What everybody is to receive: all but the unpayable one their amount."""
    return [
        0 if number == batch_payer.UNPAYABLE else amount_micro_usdc(number)
        for number in range(count)
    ]


def refused(outcomes: list[Outcome]) -> list[str]:
    return [outcome.payout_id for outcome in outcomes if outcome.failure is not None]


async def test_one_bad_payment_keeps_none_of_the_others_and_is_named(
    ledger: LedgerProcess, tmp_path: Path
) -> None:
    count = 45
    async with payer_on(ledger, tmp_path) as payer:
        await payer.open_accounts(count)
        outcomes = await payer.run(payer.payouts(count)).pay_all()
        assert [outcome.payout_id for outcome in outcomes] == [f"payout {n}" for n in range(count)]
        assert refused(outcomes) == [f"payout {batch_payer.UNPAYABLE}"]
        assert await payer.received(count) == due(count)
        # Two whole batches, and three parts of the failed one.
        assert len({outcome.transaction for outcome in outcomes}) == 5


async def test_a_run_that_has_ended_pays_nobody_again_though_the_outbox_forgot(
    ledger: LedgerProcess, tmp_path: Path
) -> None:
    async with payer_on(ledger, tmp_path) as payer:
        await payer.open_accounts(5)
        outcomes = await payer.run(payer.payouts(5)).pay_all()
        assert await payer.outbox.forget_decided(2**40) > 0
        assert await payer.run(payer.payouts(5)).pay_all() == outcomes
        assert await payer.received(5) == due(5)


async def test_a_restarted_caller_arrives_at_the_same_batches_whatever_it_would_plan_today(
    ledger: LedgerProcess, tmp_path: Path
) -> None:
    count = 30
    async with payer_on(ledger, tmp_path) as payer:
        await payer.open_accounts(count)
        # Submitted to an outbox that does not run; then the caller is gone.
        signers = signers_from([payer.key])
        async with Outbox(
            tmp_path / "other.sqlite", rpc=payer.rpc, signers=signers, policy=POLICY
        ) as other:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(payer.run(payer.payouts(count), outbox=other).pay_all)
                while await other.undecided() < 2:
                    pass
                tasks.cancel_scope.cancel()
            stored = read_json(tmp_path / "run.json")
            assert [len(batch) for batch in stored["batches"]] == [19, 11]

            table = await payer.table().with_addresses(payer.recipients(count))
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(other.run)
                run = payer.run(payer.payouts(count), outbox=other, tables=(table,))
                outcomes = await run.pay_all()
                tasks.cancel_scope.cancel()
        # Today they would be one transaction.
        assert len({outcome.transaction for outcome in outcomes if not outcome.failure}) == 3
        assert await payer.received(count) == due(count)


async def test_a_runs_name_stands_for_its_payments_for_ever(
    ledger: LedgerProcess, tmp_path: Path
) -> None:
    async with payer_on(ledger, tmp_path) as payer:
        await payer.open_accounts(4)
        await payer.run(payer.payouts(3)).pay_all()
        with pytest.raises(PayoutRunConflict, match="payday"):
            await payer.run(payer.payouts(4)).pay_all()
        with pytest.raises(ValueError, match="twice"):
            payer.run(payer.payouts(3) * 2)

        # The same ids with other amounts, before the run has ended.
        value = read_json(tmp_path / "run.json")
        del value["outcomes"]
        write_json(tmp_path / "run.json", value)
        dearer = [
            to_token_account(f"payout {n}", payer.owner, to, payer.mint, 5)
            for n, to in enumerate(payer.recipients(3))
        ]
        with pytest.raises(PaymentConflict):
            await payer.run(dearer).pay_all()
        assert await payer.received(3) == due(3)


async def test_a_transaction_that_fails_as_a_whole_is_reported_for_all_and_not_divided(
    tmp_path: Path,
) -> None:
    chain, key = FakeChain(), KeyPair.generate()
    chain.err = "InsufficientFundsForFee"
    owner, mint = Pubkey(key.public_key), Pubkey(bytes(32))
    async with (
        serve(chain.answer) as url,
        Rpc(url) as rpc,
        Outbox(
            tmp_path / "outbox.sqlite", rpc=rpc, signers=signers_from([key]), policy=POLICY
        ) as outbox,
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(outbox.run)
        run = PayoutRun(
            "payday",
            batch_payer.payouts(key, mint, 30),
            one_after_the_other,
            outbox=outbox,
            payer=owner,
            path=tmp_path / "run.json",
        )
        outcomes = await run.pay_all()
        tasks.cancel_scope.cancel()
    assert len(refused(outcomes)) == 30
    assert len(chain.landed) == 2


@pytest.mark.parametrize("content", ["", "[]", '{"run_id": "payday"}', '{"batches": [[1]]}'])
async def test_a_damaged_file_is_refused_and_nobody_is_paid(
    ledger: LedgerProcess, tmp_path: Path, content: str
) -> None:
    async with payer_on(ledger, tmp_path) as payer:
        (tmp_path / "run.json").write_text(content)
        with pytest.raises(OutboxCorrupt, match=r"run\.json"):
            await payer.run(payer.payouts(3)).pay_all()
        (tmp_path / "table.json").write_text(content)
        with pytest.raises(OutboxCorrupt, match=r"table\.json"):
            await payer.table().with_addresses([payer.owner])
        assert await payer.outbox.undecided() == 0


async def test_a_table_grows_is_used_again_and_gives_its_rent_back(
    ledger: LedgerProcess, tmp_path: Path
) -> None:
    async with payer_on(ledger, tmp_path) as payer:
        first, more = payer.recipients(50)[:25], payer.recipients(50)
        table = await payer.table().with_addresses(first)
        assert table.addresses == first
        again = await payer.table().with_addresses(more)
        assert (again.key, again.addresses) == (table.key, more)
        assert (await payer.table().with_addresses(first)).addresses == more
        with pytest.raises(LookupTableFull, match="257"):
            await payer.table().with_addresses(
                [*more, *(Pubkey.from_bytes(n.to_bytes(32, "big")) for n in range(1, 208))]
            )

        account = await payer.rpc.get_account(table.key)
        assert account is not None
        assert await payer.table().close() == account.lamports
        assert await payer.rpc.get_account(table.key) is None
        assert await payer.table().close() == 0
        # Create, 25 as two steps, 25 more as two, deactivate, close: only fees are gone.
        left = await payer.rpc.sol_balance(payer.owner)
        assert left == FUNDS_LAMPORTS - 7 * BASE_FEE_LAMPORTS
        # The name can be used anew.
        assert (await payer.table().with_addresses(first)).key != table.key


async def test_an_old_table_that_the_outbox_forgot_is_extended_and_not_made_again(
    ledger: LedgerProcess, tmp_path: Path
) -> None:
    async with payer_on(ledger, tmp_path) as payer:
        recipients = payer.recipients(30)
        table = await payer.table().with_addresses(recipients[:25])
        assert await payer.outbox.forget_decided(2**40) > 0
        again = await payer.table().with_addresses(recipients)
        assert (again.key, again.addresses) == (table.key, recipients)


async def test_a_table_that_was_left_half_closed_makes_room_for_a_new_one(
    ledger: LedgerProcess, tmp_path: Path
) -> None:
    async with payer_on(ledger, tmp_path) as payer:
        table = await payer.table().with_addresses([payer.owner])
        await payer.outbox.submit("by hand", [deactivate(table.key, payer.owner)], payer.owner)
        await payer.outbox.finalized("by hand", 60)
        new = await payer.table().with_addresses([payer.owner])
        assert new.key != table.key
        assert await payer.rpc.get_account(table.key) is None


async def test_a_table_whose_slot_became_too_old_is_created_over_another(
    ledger: LedgerProcess, tmp_path: Path
) -> None:
    async with payer_on(ledger, tmp_path) as payer:
        record = {"number": 1, "slot": 1, "attempt": 0, "extensions": []}
        write_json(tmp_path / "table.json", record)
        table = await payer.table().with_addresses([payer.owner])
        assert table.addresses == [payer.owner]
        assert read_json(tmp_path / "table.json")["attempt"] == 1


def test_batches_and_their_table_happen_once_whatever_is_killed(
    ledger: LedgerProcess, tmp_path: Path
) -> None:
    count, kills = 115, 4

    async def prepare() -> KeyPair:
        async with payer_on(ledger, tmp_path) as payer:
            await payer.open_accounts(count)
            return payer.key

    key = anyio.run(prepare, backend="trio")
    scene = Scene(ledger)
    victims = [scene.kill_payer, scene.kill_ledger] * (kills // 2)
    random.Random(11).shuffle(victims)
    # Create, six extensions, three batches, three parts: all kills come before the last is sent.
    line = Line(scene.ledger_url, 11, victims, sends_between_kills=(1, 3))
    mint = str(ledger.info["usdc_mint"])
    arguments = [str(tmp_path), key.seed.hex(), mint, str(count)]
    anyio.run(scene.live_through, line, batch_payer.__file__, arguments)

    assert line.kills == kills
    outcomes = read_json(tmp_path / "run.json")["outcomes"]
    failed = [outcome["payout_id"] for outcome in outcomes if outcome["failure"]]
    assert failed == [f"payout {batch_payer.UNPAYABLE}"]

    async def check() -> None:
        async with Rpc(ledger.url) as rpc:
            addresses = [
                token_address(recipient(key, number), Pubkey.from_string(mint))
                for number in range(count)
            ]
            accounts = await rpc.get_accounts(addresses)
            received = [int.from_bytes(a.data[64:72], "little") if a else 0 for a in accounts]
            assert received == due(count)
            # The table is gone. Those of other tests of this ledger are others'.
            config = {
                "encoding": "base64",
                "filters": [{"memcmp": {"offset": 22, "bytes": key.address}}],
            }
            tables = await rpc.call("getProgramAccounts", [str(LOOKUP_TABLE_PROGRAM), config])
            assert tables == []

    anyio.run(check)
