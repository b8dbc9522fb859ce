"""What is promised of this machine: one ledger, in memory, rebuilt from the journal at start.

A bid holds its resources until it expires; a lease until it is forgotten. Nothing is ever promised
twice, and nothing stays promised for ever.
"""

from dataclasses import dataclass

from neurogrid_marketplace.resources import Capacity, Gpu, Requirements


@dataclass(frozen=True, slots=True)
class Reservation:
    """Resources held for a demand or a lease; ``expires_ms`` None: until released."""

    need: Requirements
    gpus: tuple[Gpu, ...]
    expires_ms: int | None


class Reservations:
    """The ledger. ``total`` may shrink when a GPU is lost."""

    def __init__(self, total: Capacity) -> None:
        self.total = total
        self._held: dict[str, Reservation] = {}

    def free(self, now_ms: int) -> Capacity:
        """What is not promised. Expired reservations are dropped on the way."""
        for name, held in list(self._held.items()):
            if held.expires_ms is not None and held.expires_ms <= now_ms:
                del self._held[name]
        taken = {gpu.uuid for held in self._held.values() for gpu in held.gpus}
        return Capacity(
            cpu_millis=self._left("cpu_millis"),
            memory_bytes=self._left("memory_bytes"),
            disk_bytes=self._left("disk_bytes"),
            gpus=tuple(gpu for gpu in self.total.gpus if gpu.uuid not in taken),
        )

    def hold(self, name: str, need: Requirements, now_ms: int, expires_ms: int | None) -> bool:
        """Reserve ``need`` under a name; holding the same name again keeps its resources."""
        if (held := self._held.get(name)) is not None:
            self._held[name] = Reservation(held.need, held.gpus, expires_ms)
            return True
        taken = self.free(now_ms).take(need)
        if taken is None:
            return False
        self._held[name] = Reservation(need, taken[1], expires_ms)
        return True

    def restore(self, name: str, held: Reservation) -> None:
        """Hold again what a lease from the journal held before the restart."""
        self._held[name] = held

    def rename(self, old: str, new: str) -> bool:
        """A bid has become a lease: hold for good. False if the bid's hold has expired."""
        held = self._held.pop(old, None)
        if held is None:
            return new in self._held
        self._held[new] = Reservation(held.need, held.gpus, None)
        return True

    def held(self, name: str) -> Reservation | None:
        """What is held under a name."""
        return self._held.get(name)

    def release(self, name: str) -> None:
        """Give it back; releasing twice is no error."""
        self._held.pop(name, None)

    def _left(self, amount: str) -> int:
        held: int = sum(getattr(item.need, amount) for item in self._held.values())
        total: int = getattr(self.total, amount)
        # Saturating: a machine whose total shrank has nothing left, not less than nothing.
        return max(0, total - held)
