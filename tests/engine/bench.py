"""A connected engine, a place for files, and `run`: one job from start to end."""

import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import trio

from neurogrid_node.container.engine import Engine, connect_engine
from neurogrid_node.container.job_engine import JobEngine
from neurogrid_node.container.outcome import Exit, Verdict, classify
from neurogrid_node.container.spec import ContainerSpec, ImageInfo
from neurogrid_node.container.user_namespaces import ROOT
from neurogrid_node.files.workspace import Workspace, Workspaces

JOB_IMAGE = "neurogrid/job:1"
PYTHON_IMAGE = "neurogrid/python:3.11"
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


Connect = Callable[[str], AbstractAsyncContextManager[JobEngine]]
"""Connects an engine for a node's id."""


class JobBench:
    """See the module; on any engine."""

    def __init__(
        self, engine: JobEngine, workspaces: Workspaces, image: ImageInfo, connect: Connect
    ) -> None:
        self.engine = engine
        self.workspaces = workspaces
        self.image = image
        # Of a fleet, the one on which its jobs run.
        self.machine = ""
        self._connect = connect

    def again(self, node_id: str = "") -> AbstractAsyncContextManager[JobEngine]:
        """The same engine as a daemon that was just started has it; another node's, if one is named."""
        return self._connect(node_id or self.engine.node_id)

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
            machine=self.machine,
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


class Bench(JobBench):
    """On Docker."""

    engine: Engine


@asynccontextmanager
async def open_bench(directory: Path, *, url: str | None = None) -> AsyncIterator[Bench]:
    """A bench of its own on Docker: no other node's containers, and nothing left behind."""

    def connect(node_id: str) -> AbstractAsyncContextManager[Engine]:
        return connect_engine(node_id, url=url, grace_s=5)

    async with (
        connect(_new_node_id()) as engine,
        _bench_parts(directory, engine, JOB_IMAGE) as parts,
    ):
        yield Bench(engine, *parts, connect)


@asynccontextmanager
async def open_job_bench(directory: Path, connect: Connect, image: str) -> AsyncIterator[JobBench]:
    """The same on any engine."""
    async with connect(_new_node_id()) as engine, _bench_parts(directory, engine, image) as parts:
        yield JobBench(engine, *parts, connect)


@asynccontextmanager
async def _bench_parts(
    directory: Path, engine: JobEngine, reference: str
) -> AsyncIterator[tuple[Workspaces, ImageInfo]]:
    able = engine.abilities
    workspaces = await Workspaces.open(
        directory / "workspaces",
        may_mount=able.hard_disk,
        root_ids=engine.info.root_ids or ROOT,
    )
    image = await engine.image(reference)
    assert image is not None, f"{reference} is not here: make images"
    try:
        yield workspaces, image
    finally:
        with trio.CancelScope(shield=True):
            await clean_up(engine, workspaces)


def _new_node_id() -> str:
    return f"test-{uuid.uuid4().hex[:12]}"


async def clean_up(engine: JobEngine, workspaces: Workspaces) -> None:
    """Remove every container of the engine's node, and every lease's directory."""
    async with trio.open_nursery() as nursery:
        for lease in await engine.list_leases():
            nursery.start_soon(engine.remove, lease.container_id)
    for lease_id in await workspaces.list():
        await workspaces.destroy(lease_id)
