"""A process that pays, to be killed: what a daemon does with its outbox, and nothing more."""

import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

import anyio
from solders.pubkey import Pubkey

from neurogrid_wallet import usdc
from neurogrid_wallet.keys import KeyPair
from neurogrid_wallet.outbox import Outbox
from neurogrid_wallet.rpc import Rpc
from neurogrid_wallet.transactions import signers_from
from wallet.lives import POLICY, lead

SAME_PAYMENTS = 10
"""To one more recipient, of one amount: only their ids tell them apart."""

LARGE_PAYMENTS = 5
"""The first of them are decided by two endpoints."""

_POLICY = replace(POLICY, two_endpoints_from_micro_usdc=1)
# Only ends what hangs: how long everything takes is the machine's affair.
_PATIENCE_S = 600


def recipient(key: KeyPair, number: int) -> Pubkey:
    """Who gets payment ``number``."""
    return Pubkey(key.derive(b"recipient %d" % number).public_key)


def amount_micro_usdc(number: int) -> int:
    """How much payment ``number`` is."""
    return 1000 + number


def main() -> None:
    url, second_url, backend, path, seed, mint, count = sys.argv[1:]
    key = KeyPair(bytes.fromhex(seed))
    usdc_mint = Pubkey.from_string(mint)
    pay = partial(_pay_all, url, second_url, Path(path), key, usdc_mint, int(count))
    lead(partial(anyio.run, pay, backend=backend))


async def _pay_all(
    url: str, second_url: str, path: Path, key: KeyPair, mint: Pubkey, count: int
) -> None:
    """Pay ``count`` recipients one amount each, and ``SAME_PAYMENTS`` to one more."""
    async with (
        Rpc(url, timeout_s=5) as endpoint,
        Rpc(second_url, timeout_s=5) as second,
        Outbox(
            path, rpc=endpoint, signers=signers_from([key]), policy=_POLICY, second_rpc=second
        ) as outbox,
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(outbox.run)
        payments = [(f"payment {number}", number) for number in range(count)]
        payments += [(f"the same {number}", count) for number in range(SAME_PAYMENTS)]
        payer = Pubkey(key.public_key)
        for payment_id, number in payments:
            instructions = usdc.pay(
                payer, payer, recipient(key, number), mint, amount_micro_usdc(number)
            )
            worth = amount_micro_usdc(number) if number < LARGE_PAYMENTS else 0
            await outbox.submit(payment_id, instructions, payer, worth_micro_usdc=worth)
        for payment_id, _ in payments:
            await outbox.finalized(payment_id, timeout_s=_PATIENCE_S)
        tasks.cancel_scope.cancel()


if __name__ == "__main__":
    main()
