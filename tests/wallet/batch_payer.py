"""A process that pays in batches over a lookup table, to be killed at any moment."""

import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

import anyio
from solders.pubkey import Pubkey

from neurogrid_wallet.batches import Payout, one_after_the_other
from neurogrid_wallet.keys import KeyPair
from neurogrid_wallet.outbox import Outbox
from neurogrid_wallet.payout_run import PayoutRun
from neurogrid_wallet.payouts import to_token_account
from neurogrid_wallet.rpc import Rpc
from neurogrid_wallet.stored_table import StoredTable
from neurogrid_wallet.transactions import signers_from
from neurogrid_wallet.usdc import token_address
from wallet.lives import POLICY, again, lead
from wallet.payer import amount_micro_usdc, recipient

_POLICY = replace(POLICY, two_endpoints_from_micro_usdc=1)

UNPAYABLE = 7
"""The recipient of this number has no token account."""


def payouts(key: KeyPair, mint: Pubkey, count: int) -> list[Payout]:
    """Who is to be paid."""
    owner = Pubkey(key.public_key)
    return [
        to_token_account(
            f"payout {number}",
            owner,
            token_address(recipient(key, number), mint),
            mint,
            amount_micro_usdc(number),
        )
        for number in range(count)
    ]


def main() -> None:
    url, second_url, folder, seed, mint, count = sys.argv[1:]
    key = KeyPair(bytes.fromhex(seed))
    usdc_mint = Pubkey.from_string(mint)
    pay = partial(_pay_all, url, second_url, Path(folder), key, usdc_mint, int(count))
    lead(partial(anyio.run, pay, backend="trio"))


async def _pay_all(
    url: str, second_url: str, folder: Path, key: KeyPair, mint: Pubkey, count: int
) -> None:
    """Make a table, pay everybody with its help, and take its rent back."""
    signers, owner = signers_from([key]), Pubkey(key.public_key)
    async with (
        Rpc(url, timeout_s=5) as rpc,
        Rpc(second_url, timeout_s=5) as second,
        Outbox(
            folder / "outbox.sqlite", rpc=rpc, signers=signers, policy=_POLICY, second_rpc=second
        ) as outbox,
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(outbox.run)
        table = StoredTable(
            "recipients", folder / "table.json", outbox=outbox, rpc=rpc, authority=owner
        )
        to = [token_address(recipient(key, number), mint) for number in range(count)]
        paid = folder / "paid"
        # A run that has ended needs no table any more, and its table may be closed already.
        if not paid.exists():
            addresses = [*to, mint, token_address(owner, mint)]
            run = PayoutRun(
                "payday",
                payouts(key, mint, count),
                one_after_the_other,
                outbox=outbox,
                payer=owner,
                path=folder / "run.json",
                lookup_tables=[await again(partial(table.with_addresses, addresses))],
            )
            await run.pay_all()
            paid.touch()
        await again(table.close)
        tasks.cancel_scope.cancel()


if __name__ == "__main__":
    main()
