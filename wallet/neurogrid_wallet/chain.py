"""What the chain says, as plain values: no solders, no RPC."""

from dataclasses import dataclass
from enum import Enum
from typing import Any


class Commitment(Enum):
    """How settled a fact is, in Solana's words."""

    PROCESSED = "processed"
    """One node executed it. Its fork may still lose."""
    CONFIRMED = "confirmed"
    """Two thirds of the stake voted for its block. No such block was ever dropped."""
    FINALIZED = "finalized"
    """Its block is rooted, about 31 blocks later: it cannot be dropped."""


@dataclass(frozen=True, slots=True)
class TransactionFailure:
    """Why a transaction changed nothing but its payer's fee.

    Attributes:
        name: the runtime's word, for example ``InsufficientFundsForFee``; for a failing
            instruction its own, for example ``Custom`` or ``InvalidAccountData``.
        instruction_index: which instruction failed, counted in the sent transaction (compute
            budget instructions included); None where none was reached.
        custom_program_error: the program's own number, where ``name`` is ``Custom``.
    """

    name: str
    instruction_index: int | None = None
    custom_program_error: int | None = None

    def __str__(self) -> str:
        number = "" if self.custom_program_error is None else f" {self.custom_program_error}"
        where = (
            "" if self.instruction_index is None else f" in instruction {self.instruction_index}"
        )
        return f"{self.name}{number}{where}"


def parse_failure(err: Any) -> TransactionFailure | None:
    """Read an RPC ``err`` value: None is success; what is unknown fails under its own text.

    The shapes are ``"Name"``, ``{"Name": detail}`` and ``{"InstructionError": [index, reason]}``
    with a reason of ``"Name"`` or ``{"Custom": number}``.
    """
    match err:
        case None:
            return None
        case {"InstructionError": [int(index), {"Custom": int(number)}]}:
            return TransactionFailure("Custom", index, number)
        case {"InstructionError": [int(index), reason]}:
            return TransactionFailure(_name(reason), index)
        case _:
            return TransactionFailure(_name(err))


def _name(reason: Any) -> str:
    if isinstance(reason, dict) and len(reason) == 1:
        reason = next(iter(reason))
    # 80 characters: the runtime's longest name has 45, and an endpoint's text is not ours.
    return str(reason)[:80]


@dataclass(frozen=True, slots=True)
class ChainPosition:
    """How far the chain is, as one node saw it at one instant.

    Attributes:
        slot: counts time; a slot may stay without a block.
        block_height: counts blocks; a blockhash lives for 150 of them.
    """

    slot: int
    block_height: int


@dataclass(frozen=True, slots=True)
class SignatureStatus:
    """A transaction that landed.

    Attributes:
        slot: where.
        commitment: how settled it is.
        failure: why it changed nothing, or None where it succeeded.
    """

    slot: int
    commitment: Commitment
    failure: TransactionFailure | None


@dataclass(frozen=True, slots=True)
class SignatureStatuses:
    """One node's answer about several signatures.

    Attributes:
        slot: how far the answering node was. What it has not seen up to here may come later.
        statuses: one per asked signature, in order; None where the node knows no such transaction.
    """

    slot: int
    statuses: tuple[SignatureStatus | None, ...]
