"""A process that releases and claims in batches over a lookup table, to be killed at any moment."""

import json
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

import anyio

from contracts.escrow_market import EscrowMarket, pubkey
from neurogrid_contracts.payouts import ClaimAssembly, table_addresses
from neurogrid_wallet.batches import one_after_the_other
from neurogrid_wallet.fees import FeePolicy
from neurogrid_wallet.outbox import Outbox
from neurogrid_wallet.payout_run import PayoutRun
from neurogrid_wallet.rpc import Rpc
from neurogrid_wallet.stored_table import StoredTable
from neurogrid_wallet.transactions import signers_from
from wallet.lives import POLICY, again, lead

# At a price, so that each transaction holds all that one may hold.
_POLICY = replace(
    POLICY,
    two_endpoints_from_micro_usdc=1,
    fees=FeePolicy(unit_price_micro_lamports=1000),
)


def amount_micro_usdc(number: int) -> int:
    """What is released of escrow ``number``, and once more claimed."""
    return 1000 + number


def main() -> None:
    url, second_url, folder, seed, program_id, mint = sys.argv[1:]
    market = EscrowMarket.of(bytes.fromhex(seed), program_id, mint)
    pay = partial(_pay_all, url, second_url, Path(folder), market)
    lead(partial(anyio.run, pay, backend="trio"))


async def _pay_all(url: str, second_url: str, folder: Path, market: EscrowMarket) -> None:
    sequences = json.loads((folder / "sequences.json").read_text())
    numbers = range(len(sequences))
    signers = signers_from([market.client, market.provider])
    async with (
        Rpc(url, timeout_s=5) as rpc,
        Rpc(second_url, timeout_s=5) as second,
        Outbox(
            folder / "outbox.sqlite", rpc=rpc, signers=signers, policy=_POLICY, second_rpc=second
        ) as outbox,
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(outbox.run)
        addresses = table_addresses(
            market.deployment, market.treasury, [market.parties(number) for number in numbers]
        )
        client = pubkey(market.client)
        stored = StoredTable(
            "escrows", folder / "table.json", outbox=outbox, rpc=rpc, authority=client
        )
        table = await again(partial(stored.with_addresses, addresses))
        await PayoutRun(
            "releases",
            [market.release(number, amount_micro_usdc(number)) for number in numbers],
            one_after_the_other,
            outbox=outbox,
            payer=client,
            path=folder / "releases.json",
            lookup_tables=[table],
        ).pay_all()
        await PayoutRun(
            "claims",
            [
                market.claim(number, sequence, 2 * amount_micro_usdc(number))
                for number, sequence in enumerate(sequences)
            ],
            ClaimAssembly(market.deployment, treasury=market.treasury),
            outbox=outbox,
            payer=pubkey(market.provider),
            path=folder / "claims.json",
            lookup_tables=[table],
        ).pay_all()
        tasks.cancel_scope.cancel()


if __name__ == "__main__":
    main()
