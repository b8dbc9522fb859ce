"""What a receipt shows of a sealed auction: that the bids are what was committed to before."""

from .bid import Bid
from .demand import Demand
from .errors import ReceiptInvalid
from .receipt_items import BOTH, COORDINATOR, Item, claimed, proven
from .receipt_kinds import Parts
from .sealing import Commit, Reveal, commitment


def check_sealing(parts: Parts) -> tuple[Item, ...]:
    """Commitments, their list and the bids belong together; nothing of an open auction."""
    demand = parts.one(Demand).message
    commits, reveals = parts.all(Commit), parts.all(Reveal)
    if not demand.sealed_bids:
        if commits or reveals or parts.agreed.reveal_hash:
            raise ReceiptInvalid("there are commitments, and the demand did not ask for any")
        return ()
    if not reveals or parts.agreed.reveal_hash != reveals[0].message.hash():
        raise ReceiptInvalid("the award does not name the list of commitments that is here")
    listed = dict(reveals[0].message.commitments)
    for link in commits:
        if link.message.demand_hash != demand.hash():
            raise ReceiptInvalid(f"the commitment of {link.signed.sender} is for another demand")
    signed = {link.signed.sender: link.message.commitment for link in commits}
    if signed != listed or len(commits) != len(signed):
        raise ReceiptInvalid("the commitments are not those of the list")
    shown = set()
    for bid in parts.all(Bid):
        node_id = bid.signed.sender
        if listed.get(node_id) != commitment(node_id, bid.message):
            raise ReceiptInvalid(f"the bid of {node_id} is not what it had committed to")
        shown.add(node_id)
    silent = len(listed) - len(shown)
    words = f"that {silent} of {len(listed)} nodes that had committed showed no bid that counts"
    return (
        proven(
            "sealed_bids",
            BOTH,
            f"{len(shown)} bids are what their nodes had committed to, in a list of {len(listed)} "
            "commitments that the awarded node agreed to",
        ),
        *((claimed("not_revealed", COORDINATOR, words),) if silent else ()),
    )
