"""The ``provider`` object of a request: whom it lets be asked, in which order, and for how much."""

from decimal import Decimal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurogrid_marketplace.attributes import NODE
from neurogrid_marketplace.condition_checks import checked
from neurogrid_marketplace.condition_text import write_conditions
from neurogrid_marketplace.errors import InvalidValue
from neurogrid_marketplace.model_routing import (
    MaxPrice,
    ProviderPreferences,
    attempts,
    cap_micro_usdc,
    conditions,
)

_NODE = "12D3KooWJWoaqZhDaoEFshF7Rh1bpY9ohihFhzcW6d69Lr2NASuq"
_WALLET = "7EcDhSYGxXyscszYEp35KHN8vvw3svAuLKTzXwCFLtV"
_OTHER = "4AZKV3a1m7qsvdkrSWW6ob9rr9b7pctTHW945nS9Vjv8"
_NAMES = st.lists(st.sampled_from([_NODE, _WALLET, _OTHER]), max_size=4).map(tuple)


def test_nodes_and_their_owners_may_be_named_together() -> None:
    wanted = ProviderPreferences(only=(_NODE, _WALLET), ignore=(_OTHER,))
    text = write_conditions(conditions(wanted), NODE)
    assert text == (f"(node.id = {_NODE} or node.wallet = {_WALLET}) and node.wallet != {_OTHER}")


def test_an_order_is_tried_one_after_the_other_and_then_everybody() -> None:
    wanted = ProviderPreferences(order=(_NODE, _WALLET), ignore=(_OTHER,))
    tries = [write_conditions(each, NODE) for each in attempts(wanted)]
    never = f"node.wallet != {_OTHER}"
    assert tries == [
        f"{never} and node.id = {_NODE}",
        f"{never} and node.wallet = {_WALLET}",
        never,
    ]
    strict = msgspec.structs.replace(wanted, allow_fallbacks=False)
    assert attempts(strict) == attempts(wanted)[:2]
    assert attempts(ProviderPreferences(allow_fallbacks=False)) == ((),)


@given(only=_NAMES, ignore=_NAMES, order=_NAMES, fallbacks=st.booleans())
def test_conditions_are_in_the_form_that_is_signed(
    only: tuple[str, ...], ignore: tuple[str, ...], order: tuple[str, ...], fallbacks: bool
) -> None:
    wanted = ProviderPreferences(order=order, only=only, ignore=ignore, allow_fallbacks=fallbacks)
    tries = attempts(wanted)
    assert len(tries) == len(order) + (fallbacks or not order)
    for each in tries:
        assert checked(each, NODE) == checked(checked(each, NODE), NODE)
        assert set(checked(each, NODE)) <= set(each)


def test_the_lowest_cap_holds_and_is_exact() -> None:
    assert cap_micro_usdc(MaxPrice()) is None
    assert cap_micro_usdc(MaxPrice(request=Decimal("0.000001"))) == 1
    assert cap_micro_usdc(MaxPrice(request=Decimal("0.1"), image=Decimal("0.03")), 3) == 90_000
    for wrong in ("0.0000001", "-1", "1e30", "NaN", "Infinity", "1e-999999"):
        with pytest.raises(InvalidValue, match=r"^image: "):
            cap_micro_usdc(MaxPrice(image=Decimal(wrong)))


def test_what_is_no_name_of_a_provider_is_refused() -> None:
    for wrong in ("me", "0" * 40, "7EcDhSYGxXyscszYEp35KHN8vvw3svAuLKTzXwCFLtV\n", "l" * 40):
        with pytest.raises(msgspec.ValidationError):
            msgspec.convert({"only": [wrong]}, ProviderPreferences)
