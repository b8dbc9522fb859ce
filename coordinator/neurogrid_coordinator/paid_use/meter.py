"""What one request under a lease for use has come to: counted as it reaches its client, and noted soon after."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

from neurogrid_marketplace.answer_counting import Count, NoCount, count_of
from neurogrid_marketplace.exposure import is_used_up
from neurogrid_marketplace.task import Lease
from neurogrid_marketplace.units import NOTHING_SERVED, UnitPrices, Units

from ..services.errors import Unavailable
from ..store.kept_answers import KeptAnswer
from ..store.use import Billed

_REFUSED: Final = 400
_WITHOUT_BODY: Final = frozenset((204, 304))


class NotOpened(Unavailable):
    """No lease for use lets this account ask this replica now: that says nothing of the replica."""


@dataclass(frozen=True, slots=True)
class PaidBy:
    """Under what a request is paid.

    Attributes:
        task_id: of the lease for use; its receipt has the sum of all requests.
        lease: that the node is asked by.
        max_cost_micro_usdc: what its escrow holds: beyond it nothing is charged.
        account_id, model_id: whose usage it counts as, of which model.
        is_ahead: its escrow was not open yet when it was asked.
    """

    task_id: str
    lease: Lease
    prices: UnitPrices
    max_cost_micro_usdc: int
    account_id: str
    model_id: str
    is_ahead: bool = False

    def cost_micro_usdc(self, billed: Billed) -> int:
        """What a note has added to the cost of the lease."""
        after, before = (
            min(self.prices.cost_micro_usdc(units), self.max_cost_micro_usdc)
            for units in (billed.after, billed.before)
        )
        return after - before


class Keeping:
    """An answer that is kept in the transaction of its last note.

    Attributes:
        answer: without its cost, which that note says.
        is_under_way: whether the note is being written: whoever waits for it may leave, and it is written all the same.
        after: what is done once it is.
    """

    def __init__(self, answer: KeptAnswer) -> None:
        self.answer = answer
        self.is_under_way = False
        self.after: Callable[[], None] | None = None

    def done(self) -> None:
        """It is on the disk."""
        self.is_under_way = False
        if self.after is not None:
            self.after()


class Notes(Protocol):
    """Writes down what meters have counted; a `notes.UseNotes`."""

    def changed(self, meter: "Meter") -> None:
        """It has counted more: write it down soon."""

    async def written(self, meter: "Meter") -> None:
        """Write down what it has counted now, and return when it is on the disk."""


class Meter:
    """Of one request.

    Attributes:
        request_id: a new one for each request that a node gets.
        units: that have reached the client, in all.
        is_used_up: whether nothing more of its lease can be paid, by all that was noted under it.
        cost_micro_usdc: what the notes so far have added to the lease's cost: such costs of all requests add up to it.
        keeping: what is kept with its last note; None: nothing is.
        most: as much of the units that a server says as what was delivered allows; None: its word counts.
    """

    def __init__(self, request_id: str, paid_by: PaidBy, notes: Notes) -> None:
        self.request_id = request_id
        self.paid_by = paid_by
        self.units = NOTHING_SERVED
        self.cost_micro_usdc = 0
        self.most: Callable[[Units], Units] | None = None
        self.is_used_up = False
        self.keeping: Keeping | None = None
        self._notes = notes
        self._count: Count | None = None

    def begin(self, status: int, header: Callable[[bytes], str]) -> None:
        """The answer begins. An error costs nothing.

        Args:
            status: of HTTP; header: the value of a header, "" where there is none.
        """
        if status >= _REFUSED:
            return
        self._count = (
            NoCount()
            if status in _WITHOUT_BODY
            else count_of(header(b"content-type"), header(b"content-encoding"))
        )

    def passed(self, data: bytes) -> None:
        """So much more of the answer's body, as the server sent it, has reached the client."""
        if self._count is None:
            return
        self._count.feed(data)
        self._counted(self._count.units)

    def passed_event(self, event: Mapping[str, Any]) -> None:
        """An event of a stream has reached the client; this is what it said as the server sent it."""
        if self._count is None:
            return
        self._count.take(event)
        self._counted(self._count.units)

    async def end(self, keeping: Keeping | None = None) -> int:
        """The answer is complete: what it costs, once that is noted.

        Args:
            keeping: of an answer of which nothing was noted before.

        Raises:
            Unavailable: it cannot be noted now.
        """
        if self._count is None:
            return 0
        self._count.end()
        self.units = self.units.most(self._allowed(self._count.units))
        if keeping is not None:
            self.keeping, keeping.is_under_way = keeping, True
        await self._notes.written(self)
        return self.cost_micro_usdc

    def noted(self, billed: Billed | None, kept_micro_usdc: int | None = None) -> None:
        """A note of it is on the disk.

        Args:
            billed: None: its lease was over, and it is free.
            kept_micro_usdc: what it came to as it is kept.
        """
        if kept_micro_usdc is not None:
            self.cost_micro_usdc = kept_micro_usdc
        elif billed is not None:
            self.cost_micro_usdc += self.paid_by.cost_micro_usdc(billed)
        if self.keeping is not None:
            self.keeping.done()
        if billed is not None:
            self.is_used_up = is_used_up(
                self.paid_by.prices, self.paid_by.max_cost_micro_usdc, billed.after
            )

    def _counted(self, units: Units) -> None:
        more = self.units.most(self._allowed(units))
        if more != self.units:
            self.units = more
            self._notes.changed(self)

    def _allowed(self, units: Units) -> Units:
        return units if self.most is None else self.most(units)
