"""Money: integer micro-USDC inside, decimal strings outside.

USDC has six decimals, so one micro-USDC is the smallest amount a token account can hold.
"""

import re
from functools import lru_cache

from .errors import InvalidValue

MICRO_PER_USDC = 1_000_000
MS_PER_HOUR = 3_600_000
# What an SPL token account can hold (u64).
MAX_MICRO_USDC = 2**64 - 1
# The largest amount a person may type: 10^12 USDC is more than exists, and keeps every product
# below 2^128 far from any overflow in other languages.
_MAX_TYPED_USDC_DIGITS = 12
# An account's prices and limits are the same in all its tasks.
_FORMATTED_KEPT = 1024
_DECIMAL = re.compile(rf"(\d{{1,{_MAX_TYPED_USDC_DIGITS}}})(?:\.(\d{{1,6}}))?", re.ASCII)


def parse_usdc(text: str) -> int:
    """Read an amount such as ``"10.00"`` as micro-USDC.

    Raises:
        InvalidValue: not a plain non-negative decimal with at most six decimals.
    """
    match = _DECIMAL.fullmatch(text)
    if match is None:
        raise InvalidValue(
            f"{text!r} is not an amount in USDC: write digits, at most six after the point, "
            'as in "10.00"'
        )
    whole, fraction = match.groups()
    return int(whole) * MICRO_PER_USDC + int((fraction or "").ljust(6, "0"))


@lru_cache(_FORMATTED_KEPT)
def format_usdc(micro_usdc: int) -> str:
    """Show micro-USDC as a decimal string: at least two decimals, no trailing zeros beyond them."""
    sign = "-" if micro_usdc < 0 else ""
    whole, fraction = divmod(abs(micro_usdc), MICRO_PER_USDC)
    digits = f"{fraction:06d}".rstrip("0").ljust(2, "0")
    return f"{sign}{whole}.{digits}"


def cost_micro_usdc(price_per_hour_micro_usdc: int, metered_ms: int) -> int:
    """What ``metered_ms`` of work cost, rounded up.

    Rounding is up so that a provider is never underpaid; one rounding per lease costs the client
    at most one micro-USDC.

    Args:
        price_per_hour_micro_usdc: agreed price, micro-USDC per hour, >= 0.
        metered_ms: metered running time, milliseconds, >= 0.
    """
    if price_per_hour_micro_usdc < 0 or metered_ms < 0:
        raise InvalidValue("price and metered time are never negative")
    return -(-price_per_hour_micro_usdc * metered_ms // MS_PER_HOUR)
