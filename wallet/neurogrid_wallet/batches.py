"""Many payments in few transactions: a pure planner.

A payment of a batch is never divided, and the batches keep the given order, each filled as far as a
transaction goes: 1,232 bytes, 64 accounts, 64 instructions (those that programs call included) and
1,400,000 compute units.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from solders.address_lookup_table_account import AddressLookupTableAccount
from solders.hash import Hash
from solders.instruction import Instruction
from solders.message import CompileError, MessageV0, to_bytes_versioned
from solders.pubkey import Pubkey

from neurogrid_wallet.chain import TransactionFailure
from neurogrid_wallet.errors import PayoutTooLarge
from neurogrid_wallet.transactions import (
    COMPUTE_UNITS_MAX,
    FIRST_INSTRUCTION_INDEX,
    TRANSACTION_BYTES_MAX,
    ComputeBudget,
    required_signers,
)

# Source: agave, MAX_TX_ACCOUNT_LOCKS; the feature that doubles it is not on everywhere.
_ACCOUNTS_MAX = 64
# Source: agave, MAX_INSTRUCTION_TRACE_LENGTH: top-level instructions and all that they call.
_CALLS_MAX = 64
_SIGNATURE_BYTES = 64
# Room for a price, also where today's is zero: a plan outlives its price.
_COMPUTE = ComputeBudget(COMPUTE_UNITS_MAX, 1)
# What the budget's own instructions and a precompile take, and some.
_SPARE_UNITS = 10_000


class Payable(Protocol):
    """A payment that may share a transaction with others."""

    @property
    def payout_id(self) -> str:
        """The caller's name for it, unique in its run."""

    @property
    def unit_limit(self) -> int:
        """Compute units that it takes at most."""

    @property
    def calls(self) -> int:
        """Instructions it takes, those that programs call included."""

    @property
    def worth_micro_usdc(self) -> int:
        """How much it moves at most."""


P = TypeVar("P", bound=Payable)


@dataclass(frozen=True, slots=True)
class Assembled:
    """The instructions of a batch, in order.

    Attributes:
        common: come first and belong to all (a precompile that checks everybody's signatures).
        each: by payment.
    """

    common: tuple[Instruction, ...]
    each: tuple[tuple[Instruction, ...], ...]

    @property
    def instructions(self) -> list[Instruction]:
        """All of them, as the transaction has them from ``FIRST_INSTRUCTION_INDEX`` on."""
        return [*self.common, *(instruction for group in self.each for instruction in group)]


Assemble = Callable[[Sequence[P]], Assembled]
"""Makes the instructions of a batch; the same batch always gives the same ones."""


@dataclass(frozen=True, slots=True)
class Payout:
    """A payment whose instructions do not depend on its neighbours."""

    payout_id: str
    instructions: tuple[Instruction, ...]
    unit_limit: int
    calls: int
    worth_micro_usdc: int


def one_after_the_other(payouts: Sequence[Payout]) -> Assembled:
    """Assembles payments that know nothing of each other."""
    return Assembled((), tuple(payout.instructions for payout in payouts))


@dataclass(frozen=True, slots=True)
class Span:
    """The payments of one batch: those from ``first`` to ``last``, both included, of a run."""

    first: int
    last: int

    def __str__(self) -> str:
        return f"{self.first}-{self.last}"


def plan(
    payouts: Sequence[P],
    assemble: Assemble[P],
    payer: Pubkey,
    lookup_tables: Sequence[AddressLookupTableAccount] = (),
) -> list[Span]:
    """Divide the payments into batches.

    Raises:
        PayoutTooLarge: one of them does not even fit a transaction of its own.
    """
    spans: list[Span] = []
    first = 0
    for last, payout in enumerate(payouts):
        if last > first and fits(payouts[first : last + 1], assemble, payer, lookup_tables):
            continue
        if last > first:
            spans.append(Span(first, last - 1))
            first = last
        if not fits([payout], assemble, payer, lookup_tables):
            raise PayoutTooLarge(payout.payout_id)
    if payouts:
        spans.append(Span(first, len(payouts) - 1))
    return spans


def fits(
    payouts: Sequence[P],
    assemble: Assemble[P],
    payer: Pubkey,
    lookup_tables: Sequence[AddressLookupTableAccount] = (),
) -> bool:
    """Whether one transaction can carry these payments."""
    assembled = assemble(payouts)
    own = assembled.instructions
    instructions = _COMPUTE.around(own)
    budget_calls = len(instructions) - len(own)
    calls = budget_calls + len(assembled.common) + sum(payout.calls for payout in payouts)
    units = _SPARE_UNITS + sum(payout.unit_limit for payout in payouts)
    if calls > _CALLS_MAX or units > COMPUTE_UNITS_MAX:
        return False
    accounts = {payer, *(instruction.program_id for instruction in instructions)}
    accounts |= {meta.pubkey for instruction in instructions for meta in instruction.accounts}
    if len(accounts) > _ACCOUNTS_MAX:
        return False
    try:
        message = MessageV0.try_compile(payer, instructions, list(lookup_tables), Hash.default())
    except CompileError:
        return False
    # One byte counts the signatures.
    signatures = 1 + _SIGNATURE_BYTES * len(required_signers(instructions, payer))
    return signatures + len(to_bytes_versioned(message)) <= TRANSACTION_BYTES_MAX


def unit_limit(payouts: Sequence[Payable]) -> int:
    """The compute units to ask for: what the payments take at most, and the budget's own."""
    return min(sum(payout.unit_limit for payout in payouts) + _SPARE_UNITS, COMPUTE_UNITS_MAX)


def culprit(failure: TransactionFailure, assembled: Assembled) -> int | None:
    """Which payment of a failed batch is to blame; None if its failure does not tell."""
    if failure.instruction_index is None:
        return None
    index = failure.instruction_index - FIRST_INSTRUCTION_INDEX - len(assembled.common)
    if index < 0:
        return None
    for position, group in enumerate(assembled.each):
        if index < len(group):
            return position
        index -= len(group)
    return None


def divide(span: Span, culprit_position: int | None) -> list[Span]:
    """What to try in place of a batch that failed as a whole and moved nothing.

    With a culprit: those before it, itself alone, those after it. Without: two halves.
    """
    if culprit_position is None:
        middle = (span.first + span.last) // 2
        parts = [(span.first, middle), (middle + 1, span.last)]
    else:
        bad = span.first + culprit_position
        parts = [(span.first, bad - 1), (bad, bad), (bad + 1, span.last)]
    return [Span(first, last) for first, last in parts if first <= last]
