"""What of this machine can be tried with the engine alone: containers like a job's, that say what they have."""

import secrets
from typing import Final

import trio

from neurogrid_marketplace.resources import NVIDIA

from ..container.job_engine import JobEngine
from ..container.probe import PROBE_IMAGE, ProbeReport, probe, probe_freezing
from ..files.workspace import Workspaces
from .devices import DeviceGone, gpu_devices
from .gpu_state import GpuState
from .inventory import in_market_terms
from .proofs import Disproof
from .toolkit import toolkit_disproof, toolkit_says

_DISK_BYTES: Final = 1 << 20


class Trials:
    """Each says why something is not so, or None; where nothing could be tried it raises EngineError, or OSError
    where there is no disk for it."""

    def __init__(
        self,
        engine: JobEngine,
        image: str = PROBE_IMAGE,
        workspaces: Workspaces | None = None,
    ) -> None:
        """
        Args:
            image: what the containers run.
            workspaces: where jobs' files lie; None: an engine that cannot reach them is not found out.
        """
        self._engine = engine
        self._image = image
        self._workspaces = workspaces
        self._no_image = Disproof(
            "CONTAINER_NO_IMAGE",
            f"{image} is not on this machine: make images, see docs/first-run.md",
        )

    async def container(self) -> Disproof | None:
        """Whether a job is held as it should be, and its folders can be given to it."""
        image = await self._engine.image(self._image)
        if image is None:
            return self._no_image
        workspaces = self._workspaces
        if workspaces is None or not self._engine.abilities.hard_disk:
            return container_disproof(await probe(self._engine, image))
        lease_id = f"probe-{secrets.token_hex(6)}"
        try:
            folders = await workspaces.create(lease_id, _DISK_BYTES)
            report = await probe(
                self._engine,
                image,
                inputs_path=folders.inputs,
                outputs_path=folders.outputs,
                user=workspaces.user,
            )
        finally:
            with trio.CancelScope(shield=True):
                await workspaces.destroy(lease_id)
        return container_disproof(report)

    async def freezing(self) -> Disproof | None:
        """Whether a job can be frozen and go on, as for a checkpoint."""
        image = await self._engine.image(self._image)
        if image is None:
            return self._no_image
        problem = await probe_freezing(self._engine, image)
        return Disproof("CHECKPOINTS_UNPROVED", problem) if problem else None

    async def gpu(self, gpu: GpuState) -> Disproof | None:
        """Whether a container that is given this GPU has it, and no other."""
        image = await self._engine.image(self._image)
        if image is None:
            return self._no_image
        if gpu.vendor == NVIDIA and (disproof := toolkit_disproof(await toolkit_says())):
            return disproof
        try:
            devices = gpu_devices(in_market_terms([gpu]), [gpu])
        except DeviceGone as error:
            return Disproof("GPU_NODE_CLOSED", str(error))
        report = await probe(
            self._engine, image, gpu_uuids=devices.uuids, render_nodes=devices.render_nodes
        )
        if report.failures:
            return container_disproof(report)
        problem = "; ".join(report.gpu_failures)
        return Disproof("CONTAINER_NO_GPU", problem) if problem else None


def container_disproof(report: ProbeReport) -> Disproof | None:
    """Why a machine must not run jobs whose probe has reported this; None if it may."""
    failures = (*report.failures, *report.gpu_failures)
    return Disproof("CONTAINER_UNSAFE", "; ".join(failures)) if failures else None
