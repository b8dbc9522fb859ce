"""What a voucher costs off the chain: to sign and to check, beside the bare Ed25519 operation."""

import time
from collections.abc import Callable
from statistics import median

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from neurogrid_marketplace.identity import check_signature
from neurogrid_marketplace.voucher import Voucher
from neurogrid_wallet.keys import KeyPair

from .report import Figure, beside

_ROUNDS = 7
_PER_ROUND = 2_000
_DOMAIN = 7
_ESCROW = bytes(range(32))


def measure() -> list[Figure]:
    """Sign and check, ours and bare in turn; medians of the rounds."""
    key = KeyPair.generate()
    bare = Ed25519PrivateKey.from_private_bytes(key.seed)
    bare_public = bare.public_key()
    vouchers = [Voucher(_DOMAIN, _ESCROW, 1, amount) for amount in range(_PER_ROUND)]
    messages = [voucher.message() for voucher in vouchers]
    signatures = [bare.sign(message) for message in messages]
    signed = list(zip(vouchers, messages, signatures, strict=True))

    def sign() -> None:
        for amount in range(_PER_ROUND):
            key.sign(Voucher(_DOMAIN, _ESCROW, 1, amount).message())

    def sign_bare() -> None:
        for message in messages:
            bare.sign(message)

    def check() -> None:
        for voucher, _, signature in signed:
            check_signature(key.public_key, voucher.message(), signature)

    def check_bare() -> None:
        for _, message, signature in signed:
            bare_public.verify(signature, message)

    figures = []
    for name, ours, floor in (("sign", sign, sign_bare), ("verify", check, check_bare)):
        times_us = [(_time_us(ours), _time_us(floor)) for _ in range(_ROUNDS)]
        ours_us, floor_us = (median(side) for side in zip(*times_us, strict=True))
        figures.append(
            beside(f"voucher_{name}_us", ours_us, "us", f"bare Ed25519 {name}", floor_us, _ROUNDS)
        )
    return figures


def _time_us(work: Callable[[], None]) -> float:
    started_s = time.perf_counter()
    work()
    return (time.perf_counter() - started_s) / _PER_ROUND * 1e6
