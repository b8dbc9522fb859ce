"""A connected engine, a place for files, and `run`: one job from start to end."""

import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import trio

from neurogrid_node.container import Engine, connect_engine
from neurogrid_node.container_outcome import Exit, Verdict, classify
from neurogrid_node.container_profile import ContainerSpec, ImageInfo
from neurogrid_node.workspace import Workspace, Workspaces

JOB_IMAGE = "neurogrid/job:1"
MIB = 1 << 20
# A shared machine can be slow; a job that takes this long here hangs.
PATIENCE_S = 60


@dataclass(frozen=True)
class Ran:
    """One job that has ended, its container and files still there."""

    container_id: str
    workspace: Workspace
    ended: Exit
    log: str
    verdict: Verdict


class Bench:
    """See the module."""

    def __init__(self, engine: Engine, workspaces: Workspaces, image: ImageInfo) -> None:
        self.engine = engine
        self.workspaces = workspaces
        self.image = image

    def spec(self, program: str, **changes: Any) -> ContainerSpec:
        """A job that runs this Python program."""
        spec = ContainerSpec(
            lease_id=f"lease-{uuid.uuid4().hex[:12]}",
            node_id=self.engine.node_id,
            image=self.image,
            command=("python3", "-c", program),
            environment=(),
            cpu_millis=2000,
            memory_bytes=128 * MIB,
            pids=64,
            disk_bytes=16 * MIB,
        )
        return replace(spec, **changes)

    async def prepare(self, spec: ContainerSpec) -> tuple[str, Workspace]:
        """Its container, created, with its directories."""
        workspace = await self.workspaces.create(spec.lease_id, spec.disk_bytes)
        spec = replace(spec, inputs_path=workspace.inputs, outputs_path=workspace.outputs)
        return await self.engine.create(spec), workspace

    async def start(self, program: str, **changes: Any) -> str:
        """A job that runs; its container's id."""
        container_id, _ = await self.prepare(self.spec(program, **changes))
        await self.engine.start(container_id)
        return container_id

    async def run(self, program: str, **changes: Any) -> Ran:
        """A job from start to end."""
        spec = self.spec(program, **changes)
        container_id, workspace = await self.prepare(spec)
        with trio.fail_after(PATIENCE_S):
            await self.engine.start(container_id)
            log = await self.log(container_id)
            ended = await self.engine.wait(container_id)
        disk_full = await self.workspaces.is_full(spec.lease_id)
        verdict = classify(ended, disk_full=disk_full)
        return Ran(container_id, workspace, ended, log, verdict)

    async def log(self, container_id: str) -> str:
        """All its output, until it ends."""
        text = ""
        async with self.engine.follow_logs(container_id) as chunks:
            async for chunk in chunks:
                text += chunk.text
        return text


@asynccontextmanager
async def open_bench(directory: Path, *, url: str | None = None) -> AsyncIterator[Bench]:
    """A bench of its own: no other node's containers, and nothing left behind."""
    workspaces = await Workspaces.open(directory / "workspaces")
    async with connect_engine(f"test-{uuid.uuid4().hex[:12]}", url=url, grace_s=5) as engine:
        image = await engine.image(JOB_IMAGE)
        assert image is not None, f"{JOB_IMAGE} is not here: make images"
        try:
            yield Bench(engine, workspaces, image)
        finally:
            with trio.CancelScope(shield=True):
                await clean_up(engine, workspaces)


async def clean_up(engine: Engine, workspaces: Workspaces) -> None:
    """Remove every container of the engine's node, and every lease's directory."""
    async with trio.open_nursery() as nursery:
        for lease in await engine.list_leases():
            nursery.start_soon(engine.remove, lease.container_id)
    for lease_id in await workspaces.list():
        await workspaces.destroy(lease_id)
