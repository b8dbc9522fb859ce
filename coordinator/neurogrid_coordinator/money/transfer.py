"""A transaction on somebody's wallet, which that wallet signs: its states, and what may be sent. Pure.

The coordinator has nobody's keys. It writes a transaction down and shows it; whoever has the wallet's key
signs it and hands it in; then it is sent until it is final or dead, by the rules of the wallet's own
payments (`neurogrid_wallet.payment`), of which it is one attempt that nobody can sign again.

    unsigned -> signed -> confirmed -> finalized | failed
        \\          \\          \\-> dead
         \\          \\-> dead
          \\-> expired (by the clock; nothing was handed in)
"""

from dataclasses import dataclass
from enum import StrEnum

from neurogrid_marketplace.identity import address_bytes, check_signature
from neurogrid_wallet.payment import Payment, PaymentState, SignedTransaction
from neurogrid_wallet.transactions import signature_of

_SIGNATURE_BYTES = 64
# A transaction begins with how many signatures it has, in a byte, and all of them.
_HEAD_BYTES = 1 + _SIGNATURE_BYTES


class TransferKind(StrEnum):
    """What a transfer is for."""

    DEPOSIT = "deposit"
    WITHDRAWAL = "withdrawal"
    OPERATOR = "operator"
    PAYOUT = "payout"
    STAKE = "stake"
    UNSTAKE = "unstake"
    REBOND = "rebond"
    STAKE_WITHDRAWAL = "stake_withdrawal"
    CLOSE = "close"
    CLAIM = "claim"


class TransferState(StrEnum):
    """Where it is, as it is stored."""

    UNSIGNED = "unsigned"
    SIGNED = "signed"
    CONFIRMED = "confirmed"
    FINALIZED = "finalized"
    FAILED = "failed"
    DEAD = "dead"


class TransferStatus(StrEnum):
    """Where it is, as it is shown."""

    AWAITING_SIGNATURE = "awaiting_signature"
    SUBMITTED = "submitted"
    CONFIRMED = "confirmed"
    COMPLETED = "completed"
    FAILED = "failed"
    EXPIRED = "expired"


UNDER_WAY = frozenset({TransferState.SIGNED, TransferState.CONFIRMED})


@dataclass(frozen=True, slots=True)
class Transfer:
    """A transfer.

    Attributes:
        amount_micro: in millionths of ``currency``.
        recipient: whose wallet gets it; "" where it stays with its owner.
        says: what it does, one sentence each.
        message: what the wallet signs.
        fee_lamports: what the chain takes from the wallet, rent of new accounts aside.
        last_valid_block_height, slot: see `SignedTransaction`.
        expires_at_ms: about when it can't be sent any more.
        signed: the whole transaction, once it was handed in.
        failure: why it moved nothing; "" if it did, or may.
    """

    id: str
    account_id: str
    wallet: str
    kind: TransferKind
    amount_micro: int
    currency: str
    recipient: str
    says: tuple[str, ...]
    message: bytes
    fee_lamports: int
    last_valid_block_height: int
    slot: int
    created_at_ms: int
    expires_at_ms: int
    updated_at_ms: int
    state: TransferState = TransferState.UNSIGNED
    signed: bytes | None = None
    signature: str | None = None
    landed_slot: int | None = None
    failure: str = ""

    def status(self, now_ms: int) -> TransferStatus:
        """Where it is, for people."""
        match self.state:
            case TransferState.UNSIGNED:
                expired = now_ms >= self.expires_at_ms
                return TransferStatus.EXPIRED if expired else TransferStatus.AWAITING_SIGNATURE
            case TransferState.SIGNED:
                return TransferStatus.SUBMITTED
            case TransferState.CONFIRMED:
                return TransferStatus.CONFIRMED
            case TransferState.FINALIZED:
                return TransferStatus.COMPLETED
            case TransferState.FAILED:
                return TransferStatus.FAILED
            case TransferState.DEAD:
                return TransferStatus.EXPIRED

    @property
    def unsigned(self) -> bytes:
        """The transaction as wallets take it to sign it: with zeros for the signature."""
        return bytes([1]) + bytes(_SIGNATURE_BYTES) + self.message

    @property
    def payment(self) -> Payment:
        """It as a payment under way, for `payment.advance`."""
        assert self.signed is not None, "it is under way"
        assert self.signature is not None, "it is stored with what was signed"
        transaction = SignedTransaction(
            self.signed, self.signature, self.last_valid_block_height, self.slot
        )
        return Payment(
            self.id,
            PaymentState(self.state.value),
            attempts=1,
            signed=transaction,
            landed_slot=self.landed_slot,
        )


class NotWhatWasAsked(ValueError):
    """What was handed in is not the transaction, signed by its wallet; the message is for its owner."""


def signature_in(signed: bytes, message: bytes, wallet: str) -> str:
    """The signature, Base58, of a transaction that is exactly ``message`` signed by ``wallet``.

    Bytes are compared, and nothing of a stranger's is parsed.

    Raises:
        NotWhatWasAsked: anything else.
        BadSignature: the wallet did not sign it.
    """
    if signed[:1] != b"\x01" or signed[_HEAD_BYTES:] != message:
        raise NotWhatWasAsked(
            "this is another transaction than the one that was asked for: have the wallet sign exactly that, "
            "without adding or changing anything"
        )
    check_signature(address_bytes(wallet), message, signed[1:_HEAD_BYTES])
    return signature_of(signed)


def state_after(payment: Payment) -> TransferState:
    """A transfer's state, of its payment. Of one that died there is no other attempt."""
    if payment.state is PaymentState.NEW:
        return TransferState.DEAD
    return TransferState(payment.state.value)
