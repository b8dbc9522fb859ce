"""The table of docs/payouts.md, measured: what the ledger charged, divided by whom it paid."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import anyio
import pytest
from solders.address_lookup_table_account import AddressLookupTableAccount
from solders.pubkey import Pubkey

from contracts.escrow_market import USDC, EscrowMarket, pubkey
from contracts.ledger_process import LedgerProcess
from neurogrid_contracts.payouts import ClaimAssembly, table_addresses
from neurogrid_wallet.batches import Assemble, one_after_the_other
from neurogrid_wallet.keys import KeyPair
from neurogrid_wallet.outbox import Outbox
from neurogrid_wallet.payout_run import PayoutRun
from neurogrid_wallet.payouts import to_token_account
from neurogrid_wallet.rpc import Rpc
from neurogrid_wallet.stored_table import StoredTable
from neurogrid_wallet.transactions import signers_from
from neurogrid_wallet.usdc import create_token_account, token_address
from wallet.lives import POLICY

pytestmark = pytest.mark.processes

STATED = {
    name: (int(together.replace(",", "")), float(lamports.replace(",", "")))
    for name, together, lamports in re.findall(
        r"^\| ([a-z, -]+) \| ([\d,]+) \| ([\d,.]+) \|$",
        (Path(__file__).parents[2] / "docs" / "payouts.md").read_text(),
        re.MULTILINE,
    )
}
# Enough for one full transaction of each kind.
ESCROWS, RECIPIENTS = 20, 54
MICRO_PAYMENTS = 20_000


class Bench:
    """One market, one outbox, and what was charged so far."""

    def __init__(self, market: EscrowMarket, rpc: Rpc, outbox: Outbox, folder: Path) -> None:
        self.market = market
        self.rpc = rpc
        self.outbox = outbox
        self.folder = folder
        self.client, self.provider = pubkey(market.client), pubkey(market.provider)
        self.recipients = [
            Pubkey(market.client.derive(b"%d" % n).public_key) for n in range(RECIPIENTS)
        ]

    async def open_accounts(self) -> None:
        mint = self.market.deployment.usdc_mint
        for start in range(0, RECIPIENTS, 6):
            made = [
                create_token_account(self.client, owner, mint)
                for owner in self.recipients[start : start + 6]
            ]
            await self.outbox.submit(f"accounts {start}", made, self.client)
        for start in range(0, RECIPIENTS, 6):
            await self.outbox.finalized(f"accounts {start}", 60)

    async def table(self) -> AddressLookupTableAccount:
        deployment, market = self.market.deployment, self.market
        mint = deployment.usdc_mint
        parties = [market.parties(number) for number in range(ESCROWS)]
        addresses = [mint, token_address(self.client, mint)]
        addresses += [token_address(owner, mint) for owner in self.recipients]
        addresses += table_addresses(deployment, market.treasury, parties)
        stored = StoredTable(
            "all",
            self.folder / "table",
            outbox=self.outbox,
            rpc=self.rpc,
            authority=self.client,
        )
        return await stored.with_addresses(addresses)

    async def price(
        self,
        name: str,
        payouts: Sequence[Any],
        assemble: Assemble[Any],
        payer: Pubkey,
        *tables: AddressLookupTableAccount,
    ) -> tuple[int, float]:
        """How many payments the first transaction carried, and what each of them cost."""
        outcomes = await PayoutRun(
            name,
            payouts,
            assemble,
            outbox=self.outbox,
            payer=payer,
            path=self.folder / f"{name}.json",
            lookup_tables=tables,
        ).pay_all()
        assert [outcome.failure for outcome in outcomes] == [None] * len(payouts)
        first = outcomes[0].transaction
        assert first is not None
        record = await self.rpc.transaction(first)
        assert record is not None
        together = sum(1 for outcome in outcomes if outcome.transaction == first)
        return together, record.fee_lamports / together


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[int, float]]:
    folder = tmp_path_factory.mktemp("prices")
    with LedgerProcess(folder / "ledger", "--slot-ms", "6", "--no-fsync") as ledger:
        info = ledger.info
        market = EscrowMarket.of(KeyPair.generate().seed, info["program_id"], info["usdc_mint"])
        market.set_up(ledger, ESCROWS)
        # All that it had is deposited.
        ledger.call("neurogrid_requestUsdc", market.client.address, USDC)
        opened = [market.escrow(ledger, number) for number in range(ESCROWS)]
        sequences = [escrow.sequence for escrow in opened if escrow is not None]

        async def main() -> dict[str, tuple[int, float]]:
            signers = signers_from([market.client, market.provider])
            async with (
                Rpc(ledger.url) as rpc,
                Outbox(folder / "outbox", rpc=rpc, signers=signers, policy=POLICY) as outbox,
                anyio.create_task_group() as tasks,
            ):
                tasks.start_soon(outbox.run)
                found = await measure(Bench(market, rpc, outbox, folder), sequences)
                tasks.cancel_scope.cancel()
            return found

        return anyio.run(main)


async def measure(bench: Bench, sequences: list[int]) -> dict[str, tuple[int, float]]:
    market, mint = bench.market, bench.market.deployment.usdc_mint
    await bench.open_accounts()
    table = await bench.table()
    transfers = [
        to_token_account(f"{number}", bench.client, token_address(owner, mint), mint, 1)
        for number, owner in enumerate(bench.recipients)
    ]
    client, provider, simple = bench.client, bench.provider, one_after_the_other
    claims = ClaimAssembly(market.deployment, treasury=market.treasury)
    last = len(sequences) - 1

    def vouchers(first: int, count: int, total: int) -> list[Any]:
        return [
            market.claim(number, sequences[number], total) for number in range(first, first + count)
        ]

    return {
        "transfer, each by itself": await bench.price("one", transfers[:1], simple, client),
        "transfer": await bench.price("transfers", transfers[:19], simple, client),
        "transfer, lookup table": await bench.price("tabled", transfers, simple, client, table),
        "release": await bench.price(
            "releases", [market.release(n, 1) for n in range(12)], simple, client
        ),
        "release, lookup table": await bench.price(
            "released",
            [market.release(n, 1, 1 if n < 12 else 0) for n in range(20)],
            simple,
            client,
            table,
        ),
        "claim": await bench.price("claims", vouchers(0, 2, 10), claims, provider),
        "claim, lookup table": await bench.price(
            "claimed", vouchers(2, 4, 10), claims, provider, table
        ),
        "micro-payments of a channel, one claim": await channel(
            bench, vouchers(last, 1, MICRO_PAYMENTS), claims
        ),
    }


async def channel(bench: Bench, vouchers: list[Any], claims: ClaimAssembly) -> tuple[int, float]:
    """Of all the vouchers that a channel's payments made, the last is the only one to be redeemed."""
    _, lamports = await bench.price("channel", vouchers, claims, bench.provider)
    return MICRO_PAYMENTS, lamports / MICRO_PAYMENTS


def test_the_table_lists_every_kind(measured: dict[str, tuple[int, float]]) -> None:
    assert set(STATED) == set(measured)


@pytest.mark.parametrize("kind", sorted(STATED))
def test_a_payment_costs_what_the_table_says(
    measured: dict[str, tuple[int, float]], kind: str
) -> None:
    together, lamports = measured[kind]
    assert (together, round(lamports, 1 if lamports < 1 else None)) == STATED[kind]
