"""A sealed auction's receipt: what a coordinator and its friends cannot do without being seen."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurogrid_marketplace.bid import Bid
from neurogrid_marketplace.call import Call
from neurogrid_marketplace.errors import ReceiptInvalid
from neurogrid_marketplace.receipt import verify_receipt
from neurogrid_marketplace.receipt_items import Proof
from neurogrid_marketplace.receipt_kinds import Evidence
from neurogrid_marketplace.sealing import BidFault, Commit, Reveal, commitment

from .keys import person
from .market import bid, demand
from .story import COORDINATOR, LOSER, WINNER, evidence, receipt, signed, statement

FRIEND = person("friend")
SEALED = demand(sealed_bids=True)
NONCE = "ab" * 32


def verified(parts: Evidence) -> dict[str, Proof]:
    found = verify_receipt(receipt(parts, statement(evidence(sealed=True)[1])))
    return {item.name: item.proof for item in found.items}


def test_a_sealed_auction_is_shown_to_be_one() -> None:
    parts, _ = evidence(sealed=True)
    found = verified(parts)
    assert found["sealed_bids"] is Proof.PROVEN
    assert "not_revealed" not in found


def test_a_commitment_without_its_bid_shows() -> None:
    parts, award = evidence(sealed=True, silent=FRIEND)
    found = verify_receipt(receipt(parts, statement(award)))
    (item,) = [item for item in found.items if item.name == "not_revealed"]
    assert item.shows.startswith("that 1 of 3 nodes")


def test_a_bid_invented_after_the_list_is_out() -> None:
    """The coordinator has seen the bids, and a friend undercuts them."""
    parts, award = evidence(sealed=True, late=FRIEND)
    with pytest.raises(ReceiptInvalid, match="is not what it had committed to"):
        verify_receipt(receipt(parts, statement(award)))


def test_a_commitment_added_to_the_list_later() -> None:
    """Then the list is not the one that the winner's award names."""
    parts, award = evidence(sealed=True)
    (reveal,) = [envelope for envelope in parts["reveal"] if hasattr(envelope, "body")]
    listed = {**reveal.body["commitments"], FRIEND.peer_id: "1" * 64}  # type: ignore[dict-item]  # a map
    longer = Reveal(award.demand_id, listed)
    changed = {**parts, "reveal": [signed(COORDINATOR, WINNER, longer)]}
    with pytest.raises(ReceiptInvalid, match="does not name the list"):
        verify_receipt(receipt(changed, statement(award)))


def test_a_commitment_left_out_of_the_receipt() -> None:
    parts, award = evidence(sealed=True, silent=FRIEND)
    changed = {**parts, "commit": parts["commit"][:-1]}
    with pytest.raises(ReceiptInvalid, match="not those of the list"):
        verify_receipt(receipt(changed, statement(award)))


def test_commitments_in_an_open_auction() -> None:
    parts, award = evidence()
    extra = Commit(award.demand_id, award.demand_hash, "1" * 64)
    changed = {**parts, "commit": [signed(LOSER, COORDINATOR, extra)]}
    with pytest.raises(ReceiptInvalid, match="did not ask for any"):
        verify_receipt(receipt(changed, statement(award)))


def test_a_commitment_belongs_to_its_node_and_to_every_field_of_its_bid() -> None:
    ours = replace(bid(20_000, 300, SEALED), nonce=NONCE)
    stands = commitment(WINNER.peer_id, ours)
    assert stands != commitment(LOSER.peer_id, ours)
    for change in (
        {"price_micro_usdc_per_hour": 20_001},
        {"start_ms": 301},
        {"nonce": "ac" * 32},
        {"wallet": LOSER.address},
    ):
        assert stands != commitment(WINNER.peer_id, replace(ours, **change))


names = st.sampled_from([f"node-{number}" for number in range(20)])
steps = st.lists(
    st.tuples(names, st.sampled_from(["commit", "bid", "other bid", "leave", "next", "reveal"])),
    max_size=60,
)


@given(steps)
def test_whatever_order_things_come_in_only_bids_that_were_committed_to_count(
    happened: list[tuple[str, str]],
) -> None:
    def bid_of(node: str, price: int) -> Bid:
        return replace(bid(price, 0, SEALED, owner=node), nonce=NONCE)

    call = Call(SEALED, [f"node-{number}" for number in range(20)])
    asked: set[str] = set()
    listed: Reveal | None = None
    for node, step in happened:
        ours = bid_of(node, 20_000)
        match step:
            case "commit":
                sealed = Commit(SEALED.demand_id, SEALED.hash(), commitment(node, ours))
                if call.commit(node, sealed):
                    assert node in asked
                    assert listed is None
            case "bid":
                if call.bid(node, ours, node):
                    assert listed is not None
                    assert listed.commitments[node] == commitment(node, ours)
            case "other bid":
                assert not call.bid(node, bid_of(node, 10_000), node)
            case "leave":
                call.left(node)
            case "next" if listed is None:
                asked |= set(call.next_round())
            case "reveal" if listed is None:
                listed = call.reveal()
        assert call.waiting_for <= asked
    call.close()
    ranked = {item.node_id for item in call.auction.ranking()}
    silent = {n for n, fault in call.faults.items() if fault is BidFault.NOT_REVEALED}
    assert not ranked & set(call.faults)
    assert silent <= set(call.commitments)
    assert set(call.commitments) <= ranked | set(call.faults)
