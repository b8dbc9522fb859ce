"""Amounts at the door: money in decimals as people write it, micro-USDC inside; and what a GB is."""

import re
from decimal import Decimal

from neurogrid_marketplace.errors import InvalidValue
from neurogrid_marketplace.money import MICRO_PER_USDC, parse_usdc

from ...services.errors import InvalidRequest

# A GB is 10^9 bytes: a GPU sold with 24 GB reports a little less than 24 GiB, and would not be
# found by who asks for 24 of those.
BYTES_PER_GB = 10**9

# Digits before the point that `parse_usdc` takes; more are refused before they are written out,
# because "1e999999999" is short to send and long to write.
_EXPONENT_MAX = 12
# As most people write one, which needs no arithmetic.
_PLAIN = re.compile(r"[0-9]{1,12}(\.[0-9]{1,6})?")


def micro_usdc(value: Decimal, field: str) -> int:
    """An amount of USDC as micro-USDC.

    Raises:
        InvalidRequest: negative, not finite, too large, or with more than six decimals.
    """
    try:
        plain = str(value)
        if _PLAIN.fullmatch(plain):
            return parse_usdc(plain)
        if not value.is_finite() or value.is_signed() or value.adjusted() > _EXPONENT_MAX:
            raise InvalidValue(f"{value} is not an amount in USDC")
        # Zeros at the end ("1.50000000") are no further decimals.
        exponent = value.normalize().as_tuple().exponent
        assert isinstance(exponent, int), "finite"
        if exponent < -6:
            raise InvalidValue("USDC has six decimals")
        return parse_usdc(format(value.quantize(Decimal("0.000001")), "f"))
    except InvalidValue as error:
        raise InvalidRequest(f"{field}: {error}", field) from error


def usdc_number(amount_micro_usdc: int) -> float:
    """An amount as the number that document 002 shows; not exact beyond 15 digits."""
    return amount_micro_usdc / MICRO_PER_USDC
