"""What coordinators were served ahead of escrows that never came: kept in the journal, and counted for a day.

Who restarts a node, or waits until it is, is let no further ahead by that.
"""

import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final

from neurogrid_marketplace.serving_ahead import NO_LOSS, Loss

_log = logging.getLogger(__name__)

# Of so many leases the journal remembers it, about 1 MB.
LOSSES_MAX: Final = 10_000
# Of so many coordinators it counts.
_COORDINATORS_MAX: Final = 1024


@dataclass(frozen=True, slots=True)
class UnpaidUse:
    """What one lease for use was served, and nobody paid; ``at_ms``: when that was known, Unix time."""

    lease_id: str
    coordinator: str
    at_ms: int
    micro_usdc: int


class Losses:
    """See the module.

    Args:
        before: what earlier lives have noted, oldest first.
        note: puts one into the journal; whether it was not there yet.
    """

    def __init__(
        self, before: Sequence[UnpaidUse], note: Callable[[UnpaidUse], Awaitable[bool]]
    ) -> None:
        self._note = note
        self._lost: OrderedDict[str, Loss] = OrderedDict()
        for each in before:
            self._count(each)

    def at(self, coordinator: str, now_ms: int) -> int:
        """How much of what a coordinator has not paid counts now, micro-USDC."""
        return self._lost.get(coordinator, NO_LOSS).at(now_ms)

    async def lose(self, lost: UnpaidUse) -> None:
        """Remember one more; a lease that was noted before changes nothing.

        Raises:
            JournalError: it cannot be written down.
        """
        if not lost.micro_usdc or not await self._note(lost):
            return
        _log.warning(
            "%d micro-USDC were served ahead of an escrow that never came", lost.micro_usdc
        )
        self._count(lost)

    def _count(self, lost: UnpaidUse) -> None:
        before = self._lost.pop(lost.coordinator, NO_LOSS)
        self._lost[lost.coordinator] = before.more(lost.micro_usdc, lost.at_ms)
        if len(self._lost) > _COORDINATORS_MAX:
            self._lost.popitem(last=False)
