"""Where a request to a model may be computed, and what it may cost: the ``provider`` object of `/v1` requests.

Its names are those that OpenRouter made usual, so clients that know those need no others. A provider is named by the
peer id of a node or by the wallet of its owner.
"""

from collections.abc import Sequence
from decimal import Decimal
from typing import Annotated, Literal

from msgspec import Meta, Struct

from .conditions import MAX_VALUES, Clause, Condition, Operator, Where
from .errors import InvalidValue
from .fields import Word
from .money import MICRO_PER_USDC

# Both are base58 of at least 32 bytes; a peer id of ours begins so, and no wallet is as long.
_PEER_ID_START = "12D3Koo"
_WALLET_CHARS_MAX = 44
ProviderName = Annotated[
    str,
    Meta(
        pattern=r"^[1-9A-HJ-NP-Za-km-z]{32,64}\Z",
        description="A node's peer id, or its owner's wallet.",
    ),
]
_Names = Annotated[tuple[ProviderName, ...], Meta(max_length=MAX_VALUES)]
_Usdc = Annotated[Decimal, Meta(description="USDC, with at most six decimals.", examples=["0.50"])]
# As the market has money (`money`); beyond it a cap is none.
_USDC_MAX = 10**9


class MaxPrice(Struct, frozen=True, forbid_unknown_fields=True):
    """The most that is paid; what is left out has no cap of its client's.

    Attributes:
        prompt, completion: USDC for a million tokens that are read, or written.
        image: USDC for one.
        request: USDC for all of one request.
    """

    prompt: _Usdc | None = None
    completion: _Usdc | None = None
    image: _Usdc | None = None
    request: _Usdc | None = None


class ProviderPreferences(Struct, frozen=True, forbid_unknown_fields=True):
    """What a client says of providers.

    Attributes:
        order: asked one after the other, before all others.
        only: nobody else.
        ignore: none of these.
        sort: what decides among the rest; None: price together with the time until it begins, as always.
        allow_fallbacks: whether others than those in ``order`` may be asked.
    """

    order: _Names = ()
    only: _Names = ()
    ignore: _Names = ()
    sort: Literal["price", "throughput", "latency"] | None = None
    max_price: MaxPrice | None = None
    region: Annotated[Word | None, Meta(description='As "eu-west"; null: anywhere.')] = None
    allow_fallbacks: bool = True


ANYWHERE = ProviderPreferences()


def conditions(wanted: ProviderPreferences) -> Where:
    """Which nodes may be asked: the conditions of ``only`` and ``ignore``."""
    clauses = [_one_of(wanted.only)] if wanted.only else []
    for attribute, names in _by_attribute(wanted.ignore):
        clauses.append(Clause((_is(attribute, names, Operator.NOT_IN),)))
    return tuple(clauses)


def attempts(wanted: ProviderPreferences) -> tuple[Where, ...]:
    """The conditions under which it is tried, one after the other, until somebody could serve it."""
    always = conditions(wanted)
    tries = [(*always, _one_of((name,))) for name in wanted.order]
    if wanted.allow_fallbacks or not wanted.order:
        tries.append(always)
    return tuple(tries)


def cap_micro_usdc(price: MaxPrice, images: int = 1) -> int | None:
    """What all of a request may cost at most; None: no cap of its client's.

    Args:
        images: how many are asked for; of other models 1.

    Raises:
        InvalidValue: an amount is negative or finer than a micro-USDC; it says which.
    """
    caps = []
    if price.request is not None:
        caps.append(_micro_usdc(price.request, "request"))
    if price.image is not None:
        caps.append(_micro_usdc(price.image, "image") * images)
    return min(caps, default=None)


def _micro_usdc(amount: Decimal, name: str) -> int:
    if not amount.is_finite() or not 0 <= amount <= _USDC_MAX:
        raise InvalidValue(f"{name}: has to be an amount of USDC from 0 to {_USDC_MAX}")
    micro = amount * MICRO_PER_USDC
    if micro != int(micro):
        raise InvalidValue(f"{name}: USDC has six decimals")
    return int(micro)


def _by_attribute(names: Sequence[str]) -> list[tuple[str, list[str]]]:
    nodes = [name for name in names if _is_node(name)]
    wallets = [name for name in names if not _is_node(name)]
    return [
        (attribute, found)
        for attribute, found in (("node.id", nodes), ("node.wallet", wallets))
        if found
    ]


def _is_node(name: str) -> bool:
    return name.startswith(_PEER_ID_START) or len(name) > _WALLET_CHARS_MAX


def _one_of(names: Sequence[str]) -> Clause:
    return Clause(
        tuple(_is(attribute, found, Operator.IN) for attribute, found in _by_attribute(names))
    )


def _is(attribute: str, names: Sequence[str], operator: Operator) -> Condition:
    """As `condition_checks.tidy_condition` has it."""
    values = tuple(sorted(set(names)))
    if len(values) == 1:
        operator = Operator.EQUAL if operator is Operator.IN else Operator.NOT_EQUAL
    return Condition(attribute, operator, values)
