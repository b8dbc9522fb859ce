"""Between two tenants of a GPU: nothing of the last one computes on it, and its memory is overwritten.

What is not clean in time is withheld, and tried again every minute. Taking the GPU out of its container
ends a job's programs, and the driver then frees their memory; neither driver promises that the next
program finds it empty. So NVIDIA's is overwritten by a program of ours, in a container like a job's. Of
AMD's GPUs the kernel itself wipes what compute programs had when they give it back
(AMDGPU_GEM_CREATE_VRAM_WIPE_ON_RELEASE).
"""

import logging
import secrets
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass
from typing import Final

import trio

from neurogrid_marketplace.resources import NVIDIA, Gpu

from ..container.errors import EngineError
from ..container.job_engine import JobEngine
from ..container.spec import ContainerSpec, ImageInfo
from ..machine.fitness import NOT_CLEAN
from ..machine.inventory import in_market_terms
from ..machine.monitor import Monitor

_log = logging.getLogger(__name__)

SCRUB_IMAGE: Final = "neurogrid/scrub:1"
AGAIN_S: Final = 60.0
# Programs that were killed in the middle of a kernel hold their GPU until that has ended.
IDLE_PATIENCE_S: Final = 60.0
_OVERWRITE_PATIENCE_S: Final = 300.0
# What a driver takes for itself grows by some of this while it is loaded, and a job's is mostly more.
_IDLE_SLACK_BYTES: Final = 512 << 20
# Where the GPU was never seen idle since the node started.
_IDLE_SHARE: Final = 10
# A CUDA program's own, on the host.
_MEMORY_BYTES: Final = 2 << 30
_PIDS: Final = 64
_WORDS_MAX: Final = 500


class Scrubber:
    """See the module. One per daemon.

    Args:
        overwrite: sets the memory of GPUs of NVIDIA's, by UUID, to zero; why it could not, else "".
        idle_patience_s: how long a GPU may take to become idle.
    """

    def __init__(
        self,
        monitor: Monitor,
        overwrite: Callable[[tuple[str, ...]], Awaitable[str]],
        *,
        idle_patience_s: float = IDLE_PATIENCE_S,
        again_s: float = AGAIN_S,
    ) -> None:
        self._monitor = monitor
        self._overwrite = overwrite
        self._idle_patience_s = idle_patience_s
        self._again_s = again_s

    async def scrub(self, gpus: tuple[Gpu, ...]) -> None:
        """Clean the GPUs that a job had; what is not clean afterwards is withheld."""
        problems = await self._clean(gpus)
        if problems:
            await self._monitor.hold_back(problems)

    async def run(self) -> None:
        """Try again to clean what is withheld for it, until this is cancelled."""
        while True:
            await trio.sleep(self._again_s)
            try:
                await self._clean_withheld()
            except Exception:  # noqa: BLE001 - the task's boundary: its GPUs stay withheld
                _log.exception("GPUs could not be cleaned")

    async def _clean_withheld(self) -> None:
        inventory = self._monitor.inventory
        held = {each.uuid for each in inventory.withheld if each.code == NOT_CLEAN}
        for gpu in in_market_terms(state for state in inventory.gpus if state.uuid in held):
            if not await self._clean((gpu,)):
                await self._monitor.cleaned([gpu.uuid])

    async def _clean(self, gpus: tuple[Gpu, ...]) -> dict[str, str]:
        """Clean them; by UUID, why one is not clean."""
        uuids = [gpu.uuid for gpu in gpus]
        # Not to be taken for somebody else's program.
        with self._monitor.using(uuids):
            problems = await self._until_idle(uuids)
            left = tuple(gpu for gpu in gpus if gpu.uuid not in problems)
            nvidias = tuple(gpu.uuid for gpu in left if gpu.vendor == NVIDIA)
            if nvidias and (words := await self._overwrite(nvidias)):
                problems |= dict.fromkeys(nvidias, f"its memory was not overwritten: {words}")
            elif nvidias:
                problems |= await self._until_idle(nvidias)
        return problems

    async def _until_idle(self, uuids: Collection[str]) -> dict[str, str]:
        """Wait until nothing of a job is on these GPUs; by UUID, what still is when time is up."""
        busy = dict.fromkeys(uuids, "its driver does not answer")
        with trio.move_on_after(self._idle_patience_s):
            while busy:
                await self._monitor.until_read()
                busy = self._busy(uuids)
        return busy

    def _busy(self, uuids: Collection[str]) -> dict[str, str]:
        there = {gpu.uuid: gpu for gpu in self._monitor.states(uuids)}
        busy = {}
        for uuid in uuids:
            gpu = there.get(uuid)
            if gpu is None:
                busy[uuid] = "it was gone when its job had ended"
            elif gpu.processes:
                busy[uuid] = f"pid {gpu.processes[0].pid} of an ended job still computes on it"
            elif gpu.memory_used_bytes > self._idle_bytes_max(uuid, gpu.memory_bytes):
                used_mib = gpu.memory_used_bytes >> 20
                busy[uuid] = f"{used_mib} MiB of its memory are in use, and nobody computes on it"
        return busy

    def _idle_bytes_max(self, uuid: str, memory_bytes: int) -> int:
        idle = self._monitor.idle_bytes(uuid)
        return memory_bytes // _IDLE_SHARE if idle is None else idle + _IDLE_SLACK_BYTES


class Overwriter:
    """Overwrites memory in a container of its own, if the machine has the image."""

    def __init__(self, engine: JobEngine) -> None:
        self._engine = engine
        self._has_complained = False

    async def overwrite(self, uuids: tuple[str, ...]) -> str:
        """Set all memory of these GPUs to zero; why that failed, else ""."""
        try:
            image = await self._engine.image(SCRUB_IMAGE)
            if image is not None:
                return await self._run(image, uuids)
        except EngineError as error:
            return str(error)[:_WORDS_MAX]
        if not self._has_complained:
            self._has_complained = True
            _log.warning("GPUs' memory is not overwritten between jobs: no %s here", SCRUB_IMAGE)
        return ""

    async def _run(self, image: ImageInfo, uuids: tuple[str, ...]) -> str:
        spec = ContainerSpec(
            lease_id=f"scrub-{secrets.token_hex(6)}",
            node_id=self._engine.node_id,
            image=image,
            command=(str(len(uuids)),),
            environment=(),
            cpu_millis=1000,
            memory_bytes=_MEMORY_BYTES,
            pids=_PIDS,
            disk_bytes=0,
            gpu_uuids=uuids,
        )
        return (await run_to_end(self._engine, spec, _OVERWRITE_PATIENCE_S)).problem


@dataclass(frozen=True, slots=True)
class Ended:
    """How a container of ours ended.

    Attributes:
        words: the end of what it said.
        problem: why it did not end well in time, else "".
    """

    words: str
    problem: str


async def run_to_end(engine: JobEngine, spec: ContainerSpec, patience_s: float) -> Ended:
    """Run a container of ours. It is gone afterwards.

    Raises:
        EngineError: it could not be created or started.
    """
    container_id = await engine.create(spec)
    words = ""
    try:
        await engine.start(container_id)
        with trio.move_on_after(patience_s) as scope:
            async with engine.follow_logs(container_id, max_bytes=64 * _WORDS_MAX) as chunks:
                async for chunk in chunks:
                    words = (words + chunk.text)[-_WORDS_MAX:]
            ended = await engine.wait(container_id)
            problem = "" if ended.code == 0 else f"exit code {ended.code}: {words.strip()}"
            return Ended(words, problem)
        assert scope.cancelled_caught, "else it has returned"
        return Ended(words, f"it did not end within {patience_s:g} s")
    finally:
        with trio.CancelScope(shield=True):
            await engine.remove(container_id)
