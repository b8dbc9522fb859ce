"""One payment that happens exactly once: its states, and the only function that changes them.

A signed transaction cannot be called back: once its bytes have left, it may land at any moment
until its blockhash expires. A second one may be signed only when the first can no longer land and
has not landed. So the question this machine answers is "is it provably dead?", and the order of
reading matters: the chain's height *first*, then the status. A height beyond expiry, followed by
an answer from a node at least that far which has never heard of the transaction, is the proof.

One endpoint's word is enough for small sums. A payment with ``two_endpoints`` is decided, either
way, only when two say the same: until then it stays signed or confirmed.

    new ──signed──▶ signed ──landed──▶ confirmed ──landed, final──▶ finalized | failed
     ▲                │                    │
     └──── dead ──────┴──── dead ──────────┘          (failed too, after too many dead attempts)

There is no I/O here and no clock. ``outbox.py`` stores what comes out before it acts on it.
"""

from dataclasses import dataclass, replace
from enum import Enum

from neurogrid_wallet.chain import (
    ChainPosition,
    Commitment,
    SignatureStatus,
    TransactionFailure,
)

# A transaction whose last valid height has passed on the finalized chain is dead. Endpoints are
# often several nodes behind one address, so that the node that told the height may be ahead of
# the one that tells the status: 32 blocks (13 s) is how far finality itself lags.
EXPIRY_MARGIN_BLOCKS = 32

# Each attempt lives for a minute or more: an hour of a congested chain is survived. A payment
# that is still not included after that never will be (no fee, for example): somebody has to look.
ATTEMPTS_MAX = 60


class PaymentState(Enum):
    """Where a payment is."""

    NEW = "new"
    """Nothing signed is alive: signing is safe."""
    SIGNED = "signed"
    """Signed bytes are stored and may land at any time, sent or not."""
    CONFIRMED = "confirmed"
    """It landed, and its block is all but certain. With a failure set, it moved nothing."""
    FINALIZED = "finalized"
    """It landed and succeeded, for ever."""
    FAILED = "failed"
    """It moved nothing and never will."""


DECIDED = frozenset({PaymentState.FINALIZED, PaymentState.FAILED})


@dataclass(frozen=True, slots=True)
class SignedTransaction:
    """The bytes of one attempt.

    Attributes:
        raw: what is sent, again and again, unchanged.
        signature: its name on chain, Base58.
        last_valid_block_height: the last block that may include it.
        slot: how far the chain was when it was signed: it cannot have landed earlier.
    """

    raw: bytes
    signature: str
    last_valid_block_height: int
    slot: int


@dataclass(frozen=True, slots=True)
class Payment:
    """One payment as the outbox knows it.

    Attributes:
        payment_id: the caller's id.
        attempts: how many transactions were signed for it.
        signed: the attempt that may land or has landed; None in ``NEW``. The outbox forgets
            ``signed.raw`` once the payment is decided.
        landed_slot: where it landed.
        failure: why it moved nothing.
        two_endpoints: it is decided only when a second, independent endpoint agrees.
    """

    payment_id: str
    state: PaymentState = PaymentState.NEW
    attempts: int = 0
    signed: SignedTransaction | None = None
    landed_slot: int | None = None
    failure: TransactionFailure | None = None
    two_endpoints: bool = False

    @property
    def signature(self) -> str | None:
        """The signature of the attempt that may land or has landed, Base58."""
        return None if self.signed is None else self.signed.signature

    @property
    def transaction(self) -> SignedTransaction:
        """The attempt that may land or has landed, where it is known that there is one."""
        assert self.signed is not None, "a payment that is signed or confirmed holds its bytes"
        return self.signed


@dataclass(frozen=True, slots=True)
class Signed:
    """A transaction was signed. It must be stored before it is sent."""

    transaction: SignedTransaction


@dataclass(frozen=True, slots=True)
class Landed:
    """A node says what became of the transaction with this signature.

    Attributes:
        second: what the second endpoint says of it; None where it knows nothing or was not asked.
    """

    signature: str
    status: SignatureStatus
    second: SignatureStatus | None = None


@dataclass(frozen=True, slots=True)
class Missing:
    """A node that searched its whole history knows no transaction with this signature.

    Attributes:
        position: where the finalized chain was, read *before* the node was asked.
        answered_slot: how far the node was that knew nothing.
        known_from_slot: the oldest slot of its history, read *after* it was asked.
        second: the same from the second endpoint; None where it knows the transaction or was not
            asked.
    """

    signature: str
    position: ChainPosition
    answered_slot: int
    known_from_slot: int
    second: "Missing | None" = None


Event = Signed | Landed | Missing

TRANSITIONS: dict[tuple[PaymentState, type[Event]], frozenset[PaymentState]] = {
    (PaymentState.NEW, Signed): frozenset({PaymentState.SIGNED}),
    (PaymentState.SIGNED, Landed): frozenset(
        {
            PaymentState.SIGNED,
            PaymentState.CONFIRMED,
            PaymentState.FINALIZED,
            PaymentState.FAILED,
        }
    ),
    (PaymentState.CONFIRMED, Landed): frozenset(
        {PaymentState.CONFIRMED, PaymentState.FINALIZED, PaymentState.FAILED}
    ),
    (PaymentState.SIGNED, Missing): frozenset(
        {PaymentState.SIGNED, PaymentState.NEW, PaymentState.FAILED}
    ),
    # A confirmed block was never dropped so far; if one is, the payment starts over.
    (PaymentState.CONFIRMED, Missing): frozenset(
        {PaymentState.CONFIRMED, PaymentState.NEW, PaymentState.FAILED}
    ),
}
"""What each event may lead to. What is not here is refused."""


def advance(payment: Payment, event: Event) -> Payment:
    """The payment after ``event``; the same object where nothing changed.

    Raises:
        ValueError: the event makes no sense now, or is about another attempt. Both would be a
            way to pay twice, so they are never ignored.
    """
    allowed = TRANSITIONS.get((payment.state, type(event)))
    if allowed is None:
        raise ValueError(f"{type(event).__name__} for a payment that is {payment.state.value}")
    match event:
        case Signed(transaction):
            advanced = replace(
                payment,
                state=PaymentState.SIGNED,
                attempts=payment.attempts + 1,
                signed=transaction,
            )
        case Landed(signature, status, second):
            _require_current(payment, signature)
            advanced = _landed(payment, status, second)
        case Missing(signature):
            advanced = _missing(payment, event, _require_current(payment, signature))
    assert advanced.state in allowed
    return advanced


def is_expired(transaction: SignedTransaction, position: ChainPosition) -> bool:
    """Whether no block after ``position`` can include the transaction, with a margin."""
    last_block = transaction.last_valid_block_height + EXPIRY_MARGIN_BLOCKS
    return position.block_height > last_block


def is_dead(transaction: SignedTransaction, missing: Missing) -> bool:
    """Whether the transaction has not landed and never will.

    Expired alone is not dead: it may have landed. Unknown alone is not dead: the node may be
    behind, or may have pruned the slots in which it landed.
    """
    return (
        is_expired(transaction, missing.position)
        and missing.answered_slot >= missing.position.slot
        and missing.known_from_slot <= transaction.slot
    )


def agree(first: SignatureStatus, second: SignatureStatus | None) -> bool:
    """Whether both endpoints hold the same end of a transaction for final."""
    return first == second and first.commitment is Commitment.FINALIZED


def _landed(payment: Payment, status: SignatureStatus, second: SignatureStatus | None) -> Payment:
    if status.commitment is Commitment.PROCESSED:
        # One node's opinion of its own fork.
        return payment
    if status.commitment is Commitment.CONFIRMED or (
        payment.two_endpoints and not agree(status, second)
    ):
        state = PaymentState.CONFIRMED
    elif status.failure is None:
        state = PaymentState.FINALIZED
    else:
        state = PaymentState.FAILED
    advanced = replace(payment, state=state, landed_slot=status.slot, failure=status.failure)
    return payment if advanced == payment else advanced


def _missing(payment: Payment, missing: Missing, transaction: SignedTransaction) -> Payment:
    if not is_dead(transaction, missing):
        return payment
    if payment.two_endpoints and (
        missing.second is None or not is_dead(transaction, missing.second)
    ):
        return payment
    if payment.attempts >= ATTEMPTS_MAX:
        failure = TransactionFailure(f"NeverLanded after {payment.attempts} attempts")
        return replace(payment, state=PaymentState.FAILED, landed_slot=None, failure=failure)
    return replace(payment, state=PaymentState.NEW, signed=None, landed_slot=None, failure=None)


def _require_current(payment: Payment, signature: str) -> SignedTransaction:
    if payment.transaction.signature != signature:
        raise ValueError(f"{signature} is not the current attempt of {payment.payment_id}")
    return payment.transaction
