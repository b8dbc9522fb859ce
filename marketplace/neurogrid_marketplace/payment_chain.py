"""Meters and vouchers as one chain that both sides sign, so that neither drops or reorders one unseen.

    meter 0 <- voucher 0 <- meter 1 <- voucher 1 <- ... <- result <- final voucher

A voucher that is *linked* names the meter it answers and the linked voucher before it; a meter names
the last linked voucher that its node holds, and so does the result. The node signs the meters and the
result, the coordinator the receipt with the vouchers: leaving one out breaks what the other has signed.
A node that lacks the last linked voucher gets it again, and nothing more is signed before it has it.

Not every voucher is linked: a later one replaces an earlier one, so what lies between two of them says
nothing that the later one does not say. Links get sparser as a lease gets longer: at most one for each
voucher interval, and one for each thirty-second part of the time metered so far. A lease of
30 days has about 330 of them at 10 s, and a receipt of less than a megabyte.
"""

from dataclasses import dataclass

from .messages import Meter, VoucherLink, VoucherMessage

NO_VOUCHER = "0" * 64
# The longest lease (30 days) at the shortest interval (1 s) makes 400; the bound is for a node
# that meters as it likes.
MAX_LINKS = 512
# A link's distance from the one before it is at least this part of the time metered so far.
_DISTANCE_PARTS = 32


@dataclass(frozen=True, slots=True)
class PaymentChain:
    """How far the chain of a lease is, as its coordinator has stored it.

    Attributes:
        links: how many linked vouchers were signed: the number of the next one.
        head: `VoucherMessage.hash` of the last of them.
        metered_ms: what the meter that it answers says.
    """

    links: int = 0
    head: str = NO_VOUCHER
    metered_ms: int = 0


def is_due(chain: PaymentChain, meter: Meter, interval_s: int) -> bool:
    """Whether the voucher that answers this meter is to be linked."""
    distance_ms = max(interval_s * 1000, meter.metered_ms // _DISTANCE_PARTS)
    return chain.links < MAX_LINKS and meter.metered_ms - chain.metered_ms >= distance_ms


def next_link(chain: PaymentChain, answers_hash: str) -> VoucherLink:
    """The place of the next linked voucher."""
    return VoucherLink(chain.links, chain.head, answers_hash)


def extended(chain: PaymentChain, voucher: VoucherMessage, meter: Meter) -> PaymentChain:
    """The chain with this voucher, which answers this meter."""
    return PaymentChain(chain.links + 1, voucher.hash(), meter.metered_ms)
