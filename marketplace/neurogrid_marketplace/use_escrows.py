"""Which of an account's leases for the use of a replica pays for a request, and what the next one's escrow holds. Pure.

A lease is used up before the next one is begun, and that one is opened before it is needed. An answer should not outgrow its escrow:
so what it may come to at most has to be free in it, beside what the answers under way may still take. Where an account cannot
spare so much, an answer goes as far as its escrow does.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

# From this part of its escrow on the next lease is opened, and from that on a request that nobody can bound begins under another.
NEXT_AT_PERCENT: Final = 60
FULL_AT_PERCENT: Final = 90
# Of one account at one replica; beyond them requests go where most is free.
LEASES_MAX: Final = 16
# Where an account cannot spare an escrow, smaller ones are tried, each a quarter of the one before.
LESS: Final = 4
ESCROW_MIN_MICRO_USDC: Final = 1_000


@dataclass(frozen=True, slots=True)
class Standing:
    """One lease for use, as far as it can take requests.

    Attributes:
        name: whoever asks knows it by this.
        max_cost_micro_usdc: what its escrow holds.
        billed_micro_usdc: what was passed on under it so far.
        promised_micro_usdc: what the answers under way may still take, as far as that is known.
        takes: whether its node takes requests under it now; else it is being opened.
    """

    name: str
    max_cost_micro_usdc: int
    billed_micro_usdc: int = 0
    promised_micro_usdc: int = 0
    takes: bool = True

    @property
    def free_micro_usdc(self) -> int:
        """What is neither used nor promised."""
        return self.max_cost_micro_usdc - self.billed_micro_usdc - self.promised_micro_usdc

    @property
    def used_percent(self) -> int:
        """How much of its escrow is used, rounded down."""
        return 100 * self.billed_micro_usdc // self.max_cost_micro_usdc

    def has_room(self, most_micro_usdc: int | None) -> bool:
        """Whether an answer that comes to so much, or nobody knows to how much, begins under it."""
        if most_micro_usdc is None:
            return self.used_percent < FULL_AT_PERCENT and self.free_micro_usdc > 0
        return self.free_micro_usdc >= max(most_micro_usdc, 1)


def chosen(leases: Sequence[Standing], most_micro_usdc: int | None) -> Standing | None:
    """Which one pays for a request; None: another one should be opened for it.

    Those that take requests now come first, and of them the one with the least left.

    Args:
        most_micro_usdc: what its answer comes to at most; None: nobody knows.
    """
    fit = [each for each in leases if each.has_room(most_micro_usdc)]
    if fit:
        return min(fit, key=lambda each: (not each.takes, each.free_micro_usdc))
    return roomiest(leases) if len(leases) >= LEASES_MAX else None


def roomiest(leases: Sequence[Standing]) -> Standing | None:
    """Where most is free; None: nothing is, anywhere."""
    free = [each for each in leases if each.free_micro_usdc > 0]
    return max(free, key=lambda each: (each.free_micro_usdc, each.takes), default=None)


def wants_next(leases: Sequence[Standing]) -> bool:
    """Whether the next one should be opened now, before it is needed."""
    return (
        0 < len(leases) < LEASES_MAX
        and all(each.takes for each in leases)
        and all(each.used_percent >= NEXT_AT_PERCENT for each in leases)
    )


def escrows(usual_micro_usdc: int, most_micro_usdc: int | None) -> Iterator[int]:
    """What the next one's escrow should hold, and what it should where the account cannot spare that."""
    amount = max(usual_micro_usdc, most_micro_usdc or 0)
    yield amount
    if amount > usual_micro_usdc:
        amount = usual_micro_usdc
        yield amount
    while (amount := amount // LESS) >= ESCROW_MIN_MICRO_USDC:
        yield amount
