"""The GPUs of leases: whether a job that runs still has its own."""

from collections.abc import Awaitable, Callable, Sequence

import trio

from neurogrid_marketplace.resources import Gpu

from ..machine.gpu_state import GpuState
from ..machine.monitor import Monitor
from ..machine.reach import unreachable
from ..market.reservations import Reservation

# What happens to a container's devices happens rarely, and looking costs a process.
LOOK_INTERVAL_S = 60.0
# Seen twice, the second time so much sooner, so that an engine that is just changing its rules is not taken
# for one that has lost them.
_SOONER = 10


class LeaseGpus:
    """The GPUs of every lease.

    Args:
        held: what is reserved for a lease.
        scrub: cleans GPUs of what a job has left, or withholds them.
        look_interval_s: how often containers' devices are looked at.
        unreachable: looks at them; blocks.
    """

    def __init__(
        self,
        monitor: Monitor,
        held: Callable[[str], Reservation | None],
        scrub: Callable[[tuple[Gpu, ...]], Awaitable[None]],
        *,
        look_interval_s: float = LOOK_INTERVAL_S,
        unreachable: Callable[[int, Sequence[str]], str] = unreachable,
    ) -> None:
        self._monitor = monitor
        self._held = held
        self._scrub = scrub
        self._look_interval_s = look_interval_s
        self._unreachable = unreachable

    async def until_lost(self, lease_id: str, pid: int) -> str:
        """Wait until the job has lost a GPU; why. For ever where it has none.

        Args:
            pid: of the container's init on the host.
        """
        uuids = self._uuids(lease_id)
        if not uuids:
            await trio.sleep_forever()
        reasons: list[str] = []

        async def fails() -> None:
            reasons.append(await self._monitor.until_lost(uuids))
            nursery.cancel_scope.cancel()

        async def is_cut_off() -> None:
            reasons.append(await self._until_cut_off(uuids, pid))
            nursery.cancel_scope.cancel()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(fails)
            nursery.start_soon(is_cut_off)
        return reasons[0]

    def lost(self, lease_id: str) -> str:
        """Why the job has lost a GPU now; "" if it has not."""
        return self._monitor.lost(self._uuids(lease_id))

    def states(self, lease_id: str) -> tuple[GpuState, ...]:
        """The job's GPUs as they were read last."""
        return self._monitor.states(self._uuids(lease_id))

    def errors(self, lease_id: str, since_ms: int) -> str:
        """What the driver has said of the program's own doing; "" if nothing."""
        return self._monitor.errors_of(self._uuids(lease_id), since_ms)

    async def scrub(self, lease_id: str) -> None:
        """Clean the GPUs of a lease whose container is gone; what is not clean is withheld."""
        held = self._held(lease_id)
        if held is not None and held.gpus:
            await self._scrub(held.gpus)

    async def _until_cut_off(self, uuids: tuple[str, ...], pid: int) -> str:
        """Wait until the container has lost a node that it had when this began."""
        nodes = {node for gpu in self._monitor.states(uuids) for node in gpu.device_nodes}
        # What it never had it has not lost, and of what cannot be tried here nobody can tell.
        had = [node for node in sorted(nodes) if not await self._tried(pid, [node])]
        seen = ""
        while True:
            await trio.sleep(self._look_interval_s / _SOONER if seen else self._look_interval_s)
            problem = await self._tried(pid, had)
            if problem and seen:
                return problem
            seen = problem

    async def _tried(self, pid: int, nodes: list[str]) -> str:
        # Left behind when the job has ended meanwhile: it takes some seconds at most.
        return await trio.to_thread.run_sync(self._unreachable, pid, nodes, abandon_on_cancel=True)

    def _uuids(self, lease_id: str) -> tuple[str, ...]:
        held = self._held(lease_id)
        return tuple(gpu.uuid for gpu in held.gpus) if held else ()
