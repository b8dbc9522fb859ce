"""Who may come into a running job now, and how many at once."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from neurogrid_marketplace.job_stream import StreamRefusal
from neurogrid_marketplace.lease import NodeLease
from neurogrid_marketplace.offer import LeasePhase


class Places:
    """How many streams of a kind may be open, of a lease and in all."""

    def __init__(self, of_lease: int, of_all: int) -> None:
        self._of_lease = of_lease
        self._of_all = of_all
        self._open: Counter[str] = Counter()

    def is_full(self, lease_id: str) -> bool:
        """Whether there is none for one more."""
        return self._open[lease_id] >= self._of_lease or self._open.total() >= self._of_all

    @contextmanager
    def one_more(self, lease_id: str) -> Iterator[None]:
        """One of a lease, for the length of the block."""
        self._open[lease_id] += 1
        try:
            yield
        finally:
            self._open[lease_id] -= 1
            if not self._open[lease_id]:
                del self._open[lease_id]


def refusal_of(
    lease: NodeLease,
    places: Places,
    not_asked_for: StreamRefusal | None,
    *,
    allowed: bool,
    ahead: bool = False,
) -> StreamRefusal | None:
    """Why a stream may not be opened into this lease's job; None if it may.

    Args:
        ahead: it need not run yet.
    """
    if not allowed:
        return StreamRefusal.NOT_ALLOWED
    # In the place of a job that stands still the kernel would take connections, and nobody answer.
    runs = lease.start is not None and lease.phase is LeasePhase.RUNNING
    if not (runs or ahead) or lease.paused_at_ms:
        return StreamRefusal.NOT_RUNNING
    if not_asked_for is not None:
        return not_asked_for
    return StreamRefusal.TOO_MANY if places.is_full(lease.lease_id) else None
