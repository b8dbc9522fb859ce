"""The coordinator's side of one lease's money: from no escrow to a closed one.

    none -> opening -> open -> final -> closed        the provider redeemed, or gave up, the escrow
                        \\-> releasing -> closed       the node is lost: release, wait, refund

Pure, like `orchestration`. The program refuses a second payment by itself (compare-and-set), so an
action may be repeated at any time; what is stored here only says which one is due.
"""

from dataclasses import dataclass, replace
from enum import StrEnum

from .payment_chain import PaymentChain

# How long a node may take to redeem its final voucher before the coordinator asks for the rest of
# the escrow. Vouchers beat the refund for the program's whole grace period after that.
CLAIM_PATIENCE_MS = 5 * 60_000
# How often a final voucher is repeated to a node that does not redeem it.
RESEND_MS = 5_000


_NO_PAYMENTS = PaymentChain()


class SettlementPhase(StrEnum):
    """Where a lease's escrow is."""

    NONE = "none"
    OPENING = "opening"
    OPEN = "open"
    FINAL = "final"
    RELEASING = "releasing"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class Settlement:
    """The money of one lease; stored with it.

    Attributes:
        signed_micro_usdc: highest cumulative voucher signed so far. It never falls: what is signed
            can be redeemed.
        due_micro_usdc: the final amount once it is decided, else None.
        closed_by: signature of the transaction that closed the escrow, "" if none was opened.
        paid_micro_usdc: what left the client's account, known when closed.
        payments: the vouchers that the receipt will hold.
    """

    lease_id: str
    max_cost_micro_usdc: int
    phase: SettlementPhase = SettlementPhase.NONE
    since_ms: int = 0
    signed_micro_usdc: int = 0
    due_micro_usdc: int | None = None
    closed_by: str = ""
    paid_micro_usdc: int = 0
    payments: PaymentChain = _NO_PAYMENTS


class Step(StrEnum):
    """What the settler does next."""

    OPEN_ESCROW = "open_escrow"
    SEND_FINAL_VOUCHER = "send_final_voucher"
    RELEASE = "release"
    REFUND = "refund"


def opening(settlement: Settlement, now_ms: int) -> Settlement:
    """The escrow is about to be opened."""
    if settlement.phase is not SettlementPhase.NONE:
        return settlement
    return replace(settlement, phase=SettlementPhase.OPENING, since_ms=now_ms)


def opened(settlement: Settlement, now_ms: int) -> Settlement:
    """The escrow is on the chain. A final amount decided meanwhile takes effect now."""
    if settlement.phase not in (SettlementPhase.NONE, SettlementPhase.OPENING):
        return settlement
    settlement = replace(settlement, phase=SettlementPhase.OPEN, since_ms=now_ms)
    due = settlement.due_micro_usdc
    if due is None:
        return settlement
    return replace(settlement, phase=SettlementPhase.FINAL, signed_micro_usdc=due)


def open_failed(settlement: Settlement, now_ms: int) -> Settlement:
    """The chain refused the escrow: there is nothing to settle."""
    if settlement.phase not in (SettlementPhase.NONE, SettlementPhase.OPENING):
        return settlement
    return replace(settlement, phase=SettlementPhase.CLOSED, since_ms=now_ms)


def sign(settlement: Settlement, cumulative_micro_usdc: int) -> Settlement:
    """A voucher over this amount is about to be signed. Never above the escrow, never falling."""
    amount = min(cumulative_micro_usdc, settlement.max_cost_micro_usdc)
    if settlement.phase is not SettlementPhase.OPEN or amount <= settlement.signed_micro_usdc:
        return settlement
    return replace(settlement, signed_micro_usdc=amount)


def decided(settlement: Settlement, cumulative_micro_usdc: int, now_ms: int) -> Settlement:
    """No more will be earned: this much in all, or what is signed already if that is more."""
    if settlement.due_micro_usdc is not None:
        return settlement
    amount = min(
        max(cumulative_micro_usdc, settlement.signed_micro_usdc), settlement.max_cost_micro_usdc
    )
    settlement = replace(settlement, due_micro_usdc=amount)
    match settlement.phase:
        case SettlementPhase.NONE:
            return replace(settlement, phase=SettlementPhase.CLOSED, since_ms=now_ms)
        case SettlementPhase.OPEN:
            return replace(
                settlement,
                phase=SettlementPhase.FINAL,
                since_ms=now_ms,
                signed_micro_usdc=amount,
            )
    return settlement


def abandoned(settlement: Settlement, now_ms: int) -> Settlement:
    """The node is lost: nothing beyond what is signed will be paid, and the rest comes back."""
    settlement = decided(settlement, settlement.signed_micro_usdc, now_ms)
    if settlement.phase is SettlementPhase.FINAL:
        return replace(settlement, phase=SettlementPhase.RELEASING, since_ms=now_ms)
    return settlement


def closed(
    settlement: Settlement, transaction: str, paid_micro_usdc: int, now_ms: int
) -> Settlement:
    """The escrow account is gone: redeemed, given up, or refunded."""
    if settlement.phase is SettlementPhase.CLOSED:
        return settlement
    return replace(
        settlement,
        phase=SettlementPhase.CLOSED,
        since_ms=now_ms,
        closed_by=transaction,
        paid_micro_usdc=paid_micro_usdc,
    )


def overdue(settlement: Settlement, now_ms: int) -> Settlement:
    """A node that does not redeem in time is treated as lost; its vouchers stay good for a while."""
    if (
        settlement.phase is SettlementPhase.FINAL
        and now_ms - settlement.since_ms > CLAIM_PATIENCE_MS
    ):
        return replace(settlement, phase=SettlementPhase.RELEASING, since_ms=now_ms)
    return settlement


def steps(settlement: Settlement) -> tuple[Step, ...]:
    """What is due now, in order; the settler repeats it until the escrow is gone."""
    match settlement.phase:
        case SettlementPhase.OPENING:
            return (Step.OPEN_ESCROW,)
        case SettlementPhase.FINAL:
            return (Step.SEND_FINAL_VOUCHER,)
        case SettlementPhase.RELEASING:
            return (Step.RELEASE, Step.REFUND)
    return ()
