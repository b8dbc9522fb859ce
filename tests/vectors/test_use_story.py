"""What the receipt of a lease for use says, and what it may not say."""

import pytest

from neurogrid_marketplace.errors import ReceiptInvalid
from neurogrid_marketplace.receipt import verify_receipt
from neurogrid_marketplace.receipt_items import Proof
from neurogrid_marketplace.units import Units

from .use_story import BILLED, PRICES, SERVED, USE, tell_use


def _items(receipt: bytes) -> dict[str, tuple[Proof, str]]:
    return {item.name: (item.proof, item.shows) for item in verify_receipt(receipt).items}


def test_it_says_what_was_used_and_that_the_node_counted_no_less() -> None:
    found = verify_receipt(tell_use().receipt)
    assert (found.use, found.billed) == (USE, BILLED)
    assert found.paid_micro_usdc == PRICES.cost_micro_usdc(BILLED)
    items = _items(tell_use().receipt)
    counted = "1200 input tokens, 300 cached input tokens, 440 output tokens, 2 requests"
    words = f"0.000467 USDC for what it passed on, at the agreed prices: {counted}"
    assert items["charge"] == (Proof.CLAIMED, words)
    assert items["served"][0] is Proof.PROVEN
    assert "451 output tokens" in items["served"][1]


def test_it_shows_where_more_was_passed_on_than_the_node_counted() -> None:
    items = _items(tell_use(SERVED + Units(output_tokens=1)).receipt)
    assert items["served"][0] is Proof.CLAIMED


def test_more_than_what_was_passed_on_costs_is_no_receipt() -> None:
    due = PRICES.cost_micro_usdc(BILLED)
    with pytest.raises(ReceiptInvalid, match="what was passed on costs"):
        verify_receipt(tell_use(due_micro_usdc=due + 1).receipt)


def test_more_than_the_escrow_holds_is_no_receipt() -> None:
    all_of_it = Units(output_tokens=10**9)
    with pytest.raises(ReceiptInvalid, match="held in escrow"):
        verify_receipt(tell_use(all_of_it, USE.max_cost_micro_usdc + 1).receipt)


def test_without_what_was_passed_on_there_is_no_receipt() -> None:
    with pytest.raises(ReceiptInvalid, match="nothing says what was passed on"):
        verify_receipt(tell_use(None).receipt)
