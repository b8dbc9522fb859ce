"""What is promised of this machine: one ledger, in memory, rebuilt from the journal at start.

A bid holds its resources until it expires; a lease until its container and files are gone. Nothing
is ever promised twice, and nothing stays promised for ever.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

from neurogrid_marketplace.resources import Capacity, Gpu, Requirements

BidName = tuple[str, str]
"""Whose demand, and which: ids are chosen by coordinators, so they only name things beside theirs."""


@dataclass(frozen=True, slots=True)
class Reservation:
    """Resources held for a bid or a lease.

    Attributes:
        gpus: exactly these.
        expires_ms: None: until released.
        input_bytes: disk for the input files, beside what ``need`` has for outputs.
    """

    need: Requirements
    gpus: tuple[Gpu, ...]
    expires_ms: int | None
    input_bytes: int = 0

    @property
    def disk_bytes(self) -> int:
        """Disk in all."""
        return self.need.disk_bytes + self.input_bytes


class Reservations:
    """The ledger. ``total`` may shrink when a GPU is lost."""

    def __init__(self, total: Capacity) -> None:
        self.total = total
        self._bids: dict[BidName, Reservation] = {}
        self._leases: dict[str, Reservation] = {}

    def free(self, now_ms: int) -> Capacity:
        """What is not promised. Expired bids are dropped on the way."""
        for bid, held in list(self._bids.items()):
            if _is_expired(held, now_ms):
                del self._bids[bid]
        everything = (*self._bids.values(), *self._leases.values())
        taken = {gpu.uuid for held in everything for gpu in held.gpus}
        # Saturating: a machine whose total shrank has nothing left, not less than nothing.
        return Capacity(
            cpu_millis=max(0, self.total.cpu_millis - sum(h.need.cpu_millis for h in everything)),
            memory_bytes=max(
                0, self.total.memory_bytes - sum(h.need.memory_bytes for h in everything)
            ),
            disk_bytes=max(0, self.total.disk_bytes - sum(h.disk_bytes for h in everything)),
            gpus=tuple(gpu for gpu in self.total.gpus if gpu.uuid not in taken),
        )

    def hold(
        self,
        bid: BidName,
        need: Requirements,
        now_ms: int,
        expires_ms: int,
        input_bytes: int = 0,
        suits: Callable[[Gpu], bool] = lambda _: True,
    ) -> bool:
        """Reserve for a bid; what it held before is given back first. False: it does not fit.

        Args:
            suits: which GPUs the demand's conditions allow.
        """
        self._bids.pop(bid, None)
        free = self.free(now_ms)
        allowed = replace(free, gpus=tuple(filter(suits, free.gpus)))
        taken = allowed.take(with_inputs(need, input_bytes))
        if taken is None:
            return False
        self._bids[bid] = Reservation(need, taken[1], expires_ms, input_bytes)
        return True

    def award(self, bid: BidName, lease_id: str, now_ms: int) -> Reservation | None:
        """A bid has become a lease: hold for good. None if the bid's hold has expired."""
        held = self._bids.pop(bid, None)
        if held is None or _is_expired(held, now_ms):
            return None
        assert lease_id not in self._leases, "a lease is accepted once"
        self._leases[lease_id] = replace(held, expires_ms=None)
        return self._leases[lease_id]

    def restore(self, lease_id: str, held: Reservation) -> None:
        """Hold again what a lease from the journal held before the restart."""
        self._leases[lease_id] = held

    def held(self, lease_id: str) -> Reservation | None:
        """What is held for a lease."""
        return self._leases.get(lease_id)

    def release(self, lease_id: str) -> None:
        """Give a lease's back; releasing twice is no error."""
        self._leases.pop(lease_id, None)


def with_inputs(need: Requirements, input_bytes: int) -> Requirements:
    """What has to be free for a job and its input files."""
    return replace(need, disk_bytes=need.disk_bytes + input_bytes)


def _is_expired(held: Reservation, now_ms: int) -> bool:
    return held.expires_ms is not None and held.expires_ms <= now_ms
