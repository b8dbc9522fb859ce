"""What is promised of this machine, or of each of a fleet: one ledger, in memory, rebuilt from the journal
at start.

A bid holds its resources until it expires; a lease until its container and files are gone. Nothing
is ever promised twice, and nothing stays promised for ever.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace

from neurogrid_marketplace.resources import Capacity, Gpu, Requirements

# Longer than any bid holds: `bidder.BID_WINDOW_MAX_MS`, the reveal and `bidder.BID_VALID_MS` come to 34 s.
HOLD_LIMIT_MS = 60_000

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
        machine: of a fleet, which one's; "" where there is only this one.
    """

    need: Requirements
    gpus: tuple[Gpu, ...]
    expires_ms: int | None
    input_bytes: int = 0
    instead_of: tuple[str, ...] = ()
    machine: str = ""

    @property
    def disk_bytes(self) -> int:
        """Disk in all."""
        return self.need.disk_bytes + self.input_bytes


# The name of the one machine of a node that has no fleet.
ALONE = ""
_NOTHING = Capacity(0, 0, 0)


class Reservations:
    """The ledger. What there is may shrink when a GPU or a machine is lost.

    A job is on one machine, so what is offered of a fleet is what its roomiest has: no more would fit.

    Attributes:
        machines: what each has in all, by its name. The disk of a fleet is one for all of them.
    """

    def __init__(self, total: Capacity) -> None:
        self.machines: Mapping[str, Capacity] = {ALONE: total}
        self._bids: dict[BidName, Reservation] = {}
        self._leases: dict[str, Reservation] = {}

    @property
    def total(self) -> Capacity:
        """What one job could have at most."""
        return self.total_for(None)

    @total.setter
    def total(self, total: Capacity) -> None:
        self.machines = {ALONE: total}

    def total_for(self, need: Requirements | None) -> Capacity:
        """What the machine has that this need would be on."""
        return _chosen(self.machines, need)[1]

    def free(self, now_ms: int) -> Capacity:
        """What is not promised. Expired bids are dropped on the way."""
        return self.free_instead_of((), now_ms)

    def free_instead_of(
        self, lease_ids: Collection[str], now_ms: int, need: Requirements | None = None
    ) -> Capacity:
        """What would be free without these leases; none of them may have been given up for another.

        Args:
            need: what it is to be free for.
        """
        self._drop_expired(now_ms)
        return _chosen(self._frees(frozenset(lease_ids)), need)[1]

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

    def _frees(self, given_up: frozenset[str]) -> dict[str, Capacity]:
        return {machine: self._without(given_up, machine) for machine in self.machines}

    def _without(self, given_up: frozenset[str], machine: str) -> Capacity:
        """What of a machine is not promised, if these leases were gone."""
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
            disk_bytes += max(sum(held.disk_bytes for held in side) for side in sides)
            if sides[0][0].machine != machine:
                continue
            cpu_millis += max(sum(held.need.cpu_millis for held in side) for side in sides)
            memory_bytes += max(sum(held.need.memory_bytes for held in side) for side in sides)
            taken |= {gpu.uuid for side in sides for held in side for gpu in held.gpus}
        # Saturating: a machine whose total shrank has nothing left, not less than nothing.
        total = self.machines[machine]
        return Capacity(
            cpu_millis=max(0, total.cpu_millis - cpu_millis),
            memory_bytes=max(0, total.memory_bytes - memory_bytes),
            disk_bytes=max(0, total.disk_bytes - disk_bytes),
            gpus=tuple(gpu for gpu in total.gpus if gpu.uuid not in taken),
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
        allowed = {
            machine: replace(free, gpus=tuple(filter(suits, free.gpus)))
            for machine, free in self._frees(frozenset(instead_of)).items()
        }
        wanted = with_inputs(need, input_bytes)
        machine, free = _chosen(allowed, wanted)
        taken = free.take(wanted)
        if taken is None:
            return False
        self._bids[bid] = Reservation(need, taken[1], expires_ms, input_bytes, instead_of, machine)
        return True

    def award(self, bid: BidName, lease_id: str, now_ms: int) -> Reservation | None:
        """A bid has become a lease: hold for good. None if the bid's hold has expired, or its machine or a
        GPU of it is not offered any more."""
        held = self._bids.pop(bid, None)
        if held is None or _is_expired(held, now_ms):
            return None
        total = self.machines.get(held.machine)
        if total is None or not {each.uuid for each in held.gpus} <= {
            each.uuid for each in total.gpus
        }:
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

    def leases(self, now_ms: int) -> dict[str, tuple[str, ...]]:
        """For whom something is held for good, and the UUIDs of the GPUs that it may use now.

        Expired bids are dropped on the way.
        """
        self._drop_expired(now_ms)
        return {
            # Who takes another's place has its GPUs already, and uses none while that one is leaving.
            lease_id: () if self.in_the_way(lease_id) else tuple(gpu.uuid for gpu in held.gpus)
            for lease_id, held in self._leases.items()
        }

    def leased_gpus(self) -> frozenset[str]:
        """The UUIDs of the GPUs that leases hold."""
        return frozenset(gpu.uuid for held in self._leases.values() for gpu in held.gpus)

    def release(self, lease_id: str) -> None:
        """Give a lease's back; releasing twice is no error."""
        self._leases.pop(lease_id, None)


def _chosen(rooms: Mapping[str, Capacity], need: Requirements | None) -> tuple[str, Capacity]:
    """Of the machines that have room for a need the fullest, so that large jobs find room, too; the
    roomiest where none has, or nothing is needed. Ties go by name."""

    def room(machine: str) -> tuple[int, int, int, str]:
        has = rooms[machine]
        return len(has.gpus), has.cpu_millis, has.memory_bytes, machine

    fitting = [machine for machine in rooms if need is not None and rooms[machine].has(need)]
    machine = min(fitting, key=room) if fitting else max(rooms, key=room, default=ALONE)
    return machine, rooms.get(machine, _NOTHING)


def with_inputs(need: Requirements, input_bytes: int) -> Requirements:
    """What has to be free for a job and its input files."""
    return replace(need, disk_bytes=need.disk_bytes + input_bytes)


def _is_expired(held: Reservation, now_ms: int) -> bool:
    if held.expires_ms is None:
        return False
    # No bid holds for so long: the clock was set back meanwhile, and when it would end is not known.
    was_set_back = held.expires_ms > now_ms + HOLD_LIMIT_MS
    return held.expires_ms <= now_ms or was_set_back
