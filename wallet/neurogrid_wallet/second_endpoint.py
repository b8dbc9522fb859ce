"""The second RPC endpoint's word on payments too large for one endpoint's.

It is asked only when the first endpoint would decide such a payment. When it cannot be reached,
says nothing yet, or says something else, the payment waits; which of these it is, is told.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from neurogrid_wallet.chain import SignatureStatus
from neurogrid_wallet.errors import RpcError
from neurogrid_wallet.payment import Missing, agree
from neurogrid_wallet.rpc import Rpc


@dataclass(frozen=True, slots=True)
class SecondWord:
    """What the second endpoint says about one transaction.

    Attributes:
        status: how it landed; None where it is not known there.
        missing: the proof that it is not known there; only where that was asked for.
        problem: why the endpoint could not be asked.
    """

    status: SignatureStatus | None = None
    missing: Missing | None = None
    problem: str | None = None

    def waits_because(self, first: SignatureStatus | None) -> str | None:
        """Why the payment has to wait, for people; None where both endpoints say the same.

        Args:
            first: what the first endpoint says; None where it knows no such transaction.
        """
        if self.problem is not None:
            return f"the second endpoint gives no answer: {self.problem}"
        if first is None:
            if self.status is not None:
                return "the endpoints disagree: only the second one knows the transaction"
            return None
        if agree(first, self.status):
            return None
        if self.status is None:
            return "the second endpoint does not know the transaction yet"
        if (self.status.slot, self.status.failure) != (first.slot, first.failure):
            return (
                "the endpoints disagree: "
                f"{_outcome(first)} says the first, {_outcome(self.status)} says the second"
            )
        return "the second endpoint does not call it final yet"


async def ask_second(
    rpc: Rpc | None, signatures: Sequence[str], *, prove_missing: bool
) -> list[SecondWord]:
    """What the second endpoint says about these transactions, in order.

    Args:
        rpc: None where none is configured any more: then everything waits.
        prove_missing: also gather what ``payment.is_dead`` needs, in the order that it needs.
    """
    if not signatures:
        return []
    if rpc is None:
        return [SecondWord(problem="none is configured")] * len(signatures)
    try:
        position = await rpc.position() if prove_missing else None
        answer = await rpc.signature_statuses(signatures, search_history=True)
        known_from_slot = await rpc.first_available_slot() if prove_missing else 0
    except RpcError as error:
        return [SecondWord(problem=str(error))] * len(signatures)
    words = []
    for signature, status in zip(signatures, answer.statuses, strict=True):
        missing = None
        if status is None and position is not None:
            missing = Missing(signature, position, answer.slot, known_from_slot)
        words.append(SecondWord(status, missing))
    return words


def _outcome(status: SignatureStatus) -> str:
    return f"{status.failure or 'success'} in slot {status.slot}"
