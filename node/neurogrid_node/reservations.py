"""What is promised of this machine: one ledger, in memory, rebuilt from the journal at start.

A bid holds its resources until it expires; a lease until its container and files are gone. Nothing
is ever promised twice, and nothing stays promised for ever.
"""

from collections.abc import Callable, Collection
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
        instead_of: leases that are reclaimed for it. What they hold counts for both, so that it is
            promised once; the last of them has to be gone before it is used.
    """

    need: Requirements
    gpus: tuple[Gpu, ...]
    expires_ms: int | None
    input_bytes: int = 0
    instead_of: tuple[str, ...] = ()

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
        self._drop_expired(now_ms)
        return self._without(frozenset())

    def free_instead_of(self, lease_ids: Collection[str], now_ms: int) -> Capacity:
        """What would be free without these leases; none of them may have been given up for another."""
        self._drop_expired(now_ms)
        return self._without(frozenset(lease_ids))

    def spoken_for(self, now_ms: int) -> frozenset[str]:
        """The leases in whose place others will come."""
        self._drop_expired(now_ms)
        return frozenset(lease_id for held in self._everything() for lease_id in held.instead_of)

    def in_the_way(self, lease_id: str) -> tuple[str, ...]:
        """The leases that still hold what this one will use."""
        held = self._leases[lease_id]
        return tuple(other for other in held.instead_of if other in self._leases)

    def _everything(self) -> tuple[Reservation, ...]:
        return (*self._bids.values(), *self._leases.values())

    def _without(self, given_up: frozenset[str]) -> Capacity:
        """What is not promised, if these leases were gone."""
        cpu_millis = memory_bytes = disk_bytes = 0
        taken: set[str] = set()
        successors = [held for held in self._everything() if held.instead_of]
        replaced = {lease_id for held in successors for lease_id in held.instead_of}
        plain = [held for held in self._bids.values() if not held.instead_of]
        plain += [
            held
            for lease_id, held in self._leases.items()
            if not held.instead_of and lease_id not in replaced and lease_id not in given_up
        ]
        # Who takes another's place and whom it replaces hold the more of the two, each resource alone.
        places = [[[held]] for held in plain]
        places += [[[held], self._present(held.instead_of)] for held in successors]
        for sides in places:
            cpu_millis += max(sum(held.need.cpu_millis for held in side) for side in sides)
            memory_bytes += max(sum(held.need.memory_bytes for held in side) for side in sides)
            disk_bytes += max(sum(held.disk_bytes for held in side) for side in sides)
            taken |= {gpu.uuid for side in sides for held in side for gpu in held.gpus}
        # Saturating: a machine whose total shrank has nothing left, not less than nothing.
        return Capacity(
            cpu_millis=max(0, self.total.cpu_millis - cpu_millis),
            memory_bytes=max(0, self.total.memory_bytes - memory_bytes),
            disk_bytes=max(0, self.total.disk_bytes - disk_bytes),
            gpus=tuple(gpu for gpu in self.total.gpus if gpu.uuid not in taken),
        )

    def _present(self, lease_ids: Collection[str]) -> list[Reservation]:
        return [self._leases[lease_id] for lease_id in lease_ids if lease_id in self._leases]

    def _drop_expired(self, now_ms: int) -> None:
        for bid, held in list(self._bids.items()):
            if _is_expired(held, now_ms):
                del self._bids[bid]

    def hold(
        self,
        bid: BidName,
        need: Requirements,
        now_ms: int,
        expires_ms: int,
        input_bytes: int = 0,
        suits: Callable[[Gpu], bool] = lambda _: True,
        instead_of: tuple[str, ...] = (),
    ) -> bool:
        """Reserve for a bid; what it held before is given back first. False: it does not fit.

        Args:
            suits: which GPUs the demand's conditions allow.
            instead_of: leases that would be reclaimed for it.
        """
        self._bids.pop(bid, None)
        assert not self.spoken_for(now_ms) & set(instead_of), "a lease is reclaimed for one other"
        free = self.free_instead_of(instead_of, now_ms)
        allowed = replace(free, gpus=tuple(filter(suits, free.gpus)))
        taken = allowed.take(with_inputs(need, input_bytes))
        if taken is None:
            return False
        self._bids[bid] = Reservation(need, taken[1], expires_ms, input_bytes, instead_of)
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
