"""Amounts of node.toml, decimal USDC, as the micro-USDC that they are."""

from typing import Annotated

from msgspec import Meta

from neurogrid_marketplace.errors import InvalidValue
from neurogrid_marketplace.money import parse_usdc

# A price in a bid has to stay exact in every language; nobody asks for a million dollars an hour.
PRICE_MAX_MICRO_USDC = 10**12
Usdc = Annotated[str, Meta(max_length=20)]


def price(key: str, text: str) -> int:
    """An asking price of the file as micro-USDC per hour.

    Raises:
        InvalidValue: it is none, or absurd; the message names the key.
    """
    asked = amount(f"[prices] {key}", text)
    if asked > PRICE_MAX_MICRO_USDC:
        raise InvalidValue(f"[prices] {key}: {text} USDC per hour; at most a million")
    return asked


def amount(key: str, text: str) -> int:
    """An amount of the file as micro-USDC.

    Raises:
        InvalidValue: it is none; the message names the key.
    """
    try:
        return parse_usdc(text)
    except InvalidValue as error:
        raise InvalidValue(f"{key}: {error}") from error
