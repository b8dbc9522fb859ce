"""Amounts as Kubernetes writes them: ``1500m``, ``16Gi``, ``0.5``. Pure."""

import re
from decimal import Decimal
from typing import Final

# apimachinery, resource.Quantity: a sign, digits, and one of the suffixes; exponents are for the few.
_QUANTITY: Final = re.compile(r"([0-9]{1,20}(?:\.[0-9]{1,9})?)([numkKMGTPE]i?|[eE][0-9]{1,2}|)\Z")
_SUFFIXES: Final = {
    "": Decimal(1),
    "n": Decimal("1e-9"),
    "u": Decimal("1e-6"),
    "m": Decimal("1e-3"),
    "k": Decimal(10**3),
    **{letter: Decimal(10 ** (3 * power)) for power, letter in enumerate("MGTPE", start=2)},
    **{f"{letter}i": Decimal(2 ** (10 * power)) for power, letter in enumerate("KMGTPE", start=1)},
}


def read_quantity(text: str) -> Decimal | None:
    """The amount, in whole ones; None: it is none, or negative."""
    match = _QUANTITY.match(text)
    if match is None:
        return None
    number, suffix = match.groups()
    if suffix in _SUFFIXES:
        return Decimal(number) * _SUFFIXES[suffix]
    if suffix[1:].isdigit():
        return Decimal(number) * Decimal(10) ** int(suffix[1:])
    return None
