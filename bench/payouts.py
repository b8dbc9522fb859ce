"""What a payout costs in network fees: batches, and one claim of a channel, beside naive transfers.

Everything runs as it does in production (outbox, runs of payouts, lookup tables, the escrow program)
on a ledger process; fees are read from the transactions that landed.
"""

import os
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import anyio
from solders.keypair import Keypair
from solders.pubkey import Pubkey

from contracts.escrow_market import EscrowMarket, do, pubkey
from contracts.ledger_process import LedgerProcess
from neurogrid_contracts.payouts import ClaimAssembly, ClaimPayout, table_addresses
from neurogrid_marketplace.identity import check_signature
from neurogrid_wallet.batches import Assemble, P, one_after_the_other
from neurogrid_wallet.outbox import Outbox
from neurogrid_wallet.payout_run import PayoutRun
from neurogrid_wallet.payouts import to_token_account
from neurogrid_wallet.rpc import Rpc
from neurogrid_wallet.stored_table import StoredTable
from neurogrid_wallet.transactions import signers_from
from neurogrid_wallet.usdc import create_token_account, token_address

from .report import Figure, beside

# Two full batches of each kind.
_TRANSFERS = 108
_RELEASES = 40
_NAIVE = 5
_MICRO_PAYMENTS = 20_000
_ACCOUNTS_AT_ONCE = 8
_POCKET_MICRO_USDC = 1_000_000


def measure() -> list[Figure]:
    """Lamports per payout of each way, and how many micro-payments one transaction settled."""
    with (
        tempfile.TemporaryDirectory(prefix="neurogrid-bench-payouts-") as directory,
        LedgerProcess(Path(directory) / "ledger", "--slot-ms", "20") as ledger,
    ):
        market = EscrowMarket.of(
            os.urandom(32), ledger.info["program_id"], ledger.info["usdc_mint"]
        )
        # One more escrow than is released in batches: the channel.
        market.set_up(ledger, _RELEASES + 1)
        ledger.call("neurogrid_requestUsdc", market.client.address, _POCKET_MICRO_USDC)
        destinations = _token_accounts(ledger, market)
        return anyio.run(
            partial(_measure, Path(directory), ledger, market, destinations), backend="trio"
        )


async def _measure(
    folder: Path, ledger: LedgerProcess, market: EscrowMarket, destinations: Sequence[Pubkey]
) -> list[Figure]:
    client = pubkey(market.client)
    signers = signers_from([market.client, market.provider])
    async with (
        Rpc(ledger.url) as rpc,
        Outbox(folder / "outbox.sqlite", rpc=rpc, signers=signers) as outbox,
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(outbox.run)

        async def fee_per_payout(
            name: str,
            payouts: Sequence[P],
            assemble: Assemble[P],
            *,
            payer: Pubkey = client,
            table: Sequence[Pubkey] = (),
        ) -> float:
            tables = []
            if table:
                stored = StoredTable(
                    name, folder / f"{name}.table", outbox=outbox, rpc=rpc, authority=client
                )
                tables = [await stored.with_addresses(table)]
            run = PayoutRun(
                name,
                payouts,
                assemble,
                outbox=outbox,
                payer=payer,
                path=folder / f"{name}.json",
                lookup_tables=tables,
            )
            outcomes = await run.pay_all()
            assert all(outcome.failure is None for outcome in outcomes), "every payout is paid"
            return _fees(ledger, {str(outcome.transaction) for outcome in outcomes}) / len(payouts)

        transfers = [
            to_token_account(f"transfer {number}", client, to, market.deployment.usdc_mint, 1)
            for number, to in enumerate(destinations)
        ]
        naive = 0.0
        for number in range(_NAIVE):
            alone = [to_token_account("alone", client, destinations[number], _mint(market), 2)]
            naive += await fee_per_payout(f"naive {number}", alone, one_after_the_other) / _NAIVE
        plain = await fee_per_payout("transfers", transfers, one_after_the_other)
        tabled = await fee_per_payout(
            "tabled", transfers, one_after_the_other, table=[*destinations, _mint(market)]
        )
        releases = [market.release(number, 1000) for number in range(_RELEASES)]
        escrows = [market.parties(number) for number in range(_RELEASES)]
        released = await fee_per_payout(
            "releases",
            releases,
            one_after_the_other,
            table=table_addresses(market.deployment, market.treasury, escrows),
        )
        channel = await fee_per_payout(
            "channel",
            [_channel_claim(ledger, market)],
            ClaimAssembly(market.deployment, treasury=market.treasury),
            payer=pubkey(market.provider),
        )
        tasks.cancel_scope.cancel()
    each = "a transfer of its own"
    return [
        beside("lamports_per_payout", tabled, "lamports", each, naive, _TRANSFERS),
        beside("lamports_per_payout_no_table", plain, "lamports", each, naive, _TRANSFERS),
        beside("lamports_per_release", released, "lamports", each, naive, _RELEASES),
        beside(
            "lamports_per_micropayment",
            channel / _MICRO_PAYMENTS,
            "lamports",
            each,
            naive,
            _MICRO_PAYMENTS,
        ),
        beside("micropayments_per_tx", _MICRO_PAYMENTS, "payments", each, 1, 1),
    ]


def _channel_claim(ledger: LedgerProcess, market: EscrowMarket) -> ClaimPayout:
    """The last of many vouchers, each signed by the client's session key and checked by the node."""
    escrow = market.escrow(ledger, _RELEASES)
    assert escrow is not None, "it was opened"
    for payment in range(1, _MICRO_PAYMENTS + 1):
        claim = market.claim(_RELEASES, escrow.sequence, payment)
        check_signature(
            market.session.public_key, claim.voucher.voucher.message(), claim.voucher.signature
        )
    return claim


def _mint(market: EscrowMarket) -> Pubkey:
    return market.deployment.usdc_mint


def _token_accounts(ledger: LedgerProcess, market: EscrowMarket) -> list[Pubkey]:
    """Empty accounts of as many strangers as there are transfers."""
    owners = [Keypair().pubkey() for _ in range(_TRANSFERS)]
    for start in range(0, _TRANSFERS, _ACCOUNTS_AT_ONCE):
        creations = [
            create_token_account(pubkey(market.client), owner, _mint(market))
            for owner in owners[start : start + _ACCOUNTS_AT_ONCE]
        ]
        do(ledger, market.client, *creations)
    return [token_address(owner, _mint(market)) for owner in owners]


def _fees(ledger: LedgerProcess, signatures: set[str]) -> int:
    """What the network charged for these transactions, lamports."""
    config = {"encoding": "json", "commitment": "confirmed", "maxSupportedTransactionVersion": 0}
    return sum(
        ledger.call("getTransaction", signature, config)["meta"]["fee"] for signature in signatures
    )
