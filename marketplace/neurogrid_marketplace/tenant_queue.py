"""Requests that wait for a place: a bounded queue from which tenants are served in turn. Pure.

Whose turn it is: who has the fewest requests at work, then who was served longest ago; of one tenant's requests the
oldest. So one that sends a thousand waits behind its own, and another's first is the next.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

QUEUE_MAX: Final = 512
QUEUE_MAX_OF_TENANT: Final = 128


class QueueFull(Exception):
    """No more may wait; ``of_tenant``: no more of this one."""

    def __init__(self, limit: int, *, of_tenant: bool) -> None:
        super().__init__(f"{limit} requests wait already")
        self.limit = limit
        self.of_tenant = of_tenant


@dataclass(frozen=True, slots=True)
class Ticket:
    """One that waits.

    Attributes:
        number: grows in the order of coming; one that comes back keeps its own.
        until_ms: how long it waits.
    """

    number: int
    tenant: str
    since_ms: int
    until_ms: int


class TenantQueue:
    """See the module.

    Args:
        most: how many wait at once.
        most_of_tenant: ... of one tenant.
    """

    def __init__(self, most: int = QUEUE_MAX, most_of_tenant: int = QUEUE_MAX_OF_TENANT) -> None:
        self._most = most
        self._most_of_tenant = most_of_tenant
        self._waiting: dict[int, Ticket] = {}
        self._of_tenant: Counter[str] = Counter()
        self._numbers = 0
        self._served: dict[str, int] = {}
        self._turns = 0

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, tenant: str, now_ms: int, until_ms: int) -> Ticket:
        """Let one wait.

        Raises:
            QueueFull: it may not.
        """
        if self._of_tenant[tenant] >= self._most_of_tenant:
            raise QueueFull(self._most_of_tenant, of_tenant=True)
        if len(self._waiting) >= self._most:
            raise QueueFull(self._most, of_tenant=False)
        self._numbers += 1
        ticket = Ticket(self._numbers, tenant, now_ms, until_ms)
        self._enter(ticket)
        return ticket

    def back(self, ticket: Ticket) -> None:
        """One that had its turn and was not served waits again, in its old place; it was let in before."""
        if ticket.number not in self._waiting:
            self._enter(ticket)

    def remove(self, ticket: Ticket) -> None:
        """It waits no longer; it may have had its turn."""
        if self._waiting.pop(ticket.number, None) is not None:
            self._of_tenant[ticket.tenant] -= 1
            if not self._of_tenant[ticket.tenant]:
                del self._of_tenant[ticket.tenant]

    def served(self, ticket: Ticket) -> None:
        """It has its turn now."""
        self.remove(ticket)
        self._turns += 1
        self._served[ticket.tenant] = self._turns
        if len(self._served) > 2 * self._most + 16:
            # Who waits no longer is forgotten: it counts as one who was never served.
            self._served = {
                tenant: turn for tenant, turn in self._served.items() if tenant in self._of_tenant
            }

    def in_turn(self, at_work: Mapping[str, int]) -> Iterator[Ticket]:
        """All that wait, in the order in which they should be served if there were places for them one after the other.

        Args:
            at_work: how many requests of each tenant are served now.
        """
        ahead: Counter[str] = Counter()
        order = []
        for ticket in sorted(self._waiting.values(), key=lambda each: each.number):
            before = at_work.get(ticket.tenant, 0) + ahead[ticket.tenant]
            ahead[ticket.tenant] += 1
            order.append((before, self._served.get(ticket.tenant, 0), ticket.number, ticket))
        order.sort(key=lambda each: each[:3])
        return iter([each[3] for each in order])

    def oldest_since_ms(self) -> int | None:
        """Since when the one waits that waits longest; None where none does."""
        return min((ticket.since_ms for ticket in self._waiting.values()), default=None)

    def _enter(self, ticket: Ticket) -> None:
        self._waiting[ticket.number] = ticket
        self._of_tenant[ticket.tenant] += 1
