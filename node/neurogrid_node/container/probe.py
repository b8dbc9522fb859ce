"""Before a node offers anything: a real container says from inside what it can and cannot do.

An engine may accept every option and enforce none (a kernel without the pids controller, a runtime
that ignores seccomp, a toolkit that gives no GPU, or all of them). What is advertised is what a container saw.
"""

import json
import secrets
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import trio

from .errors import ContainerGone, EngineRefused
from .job_engine import Abilities, JobEngine
from .spec import NOBODY, ContainerSpec, ImageInfo, RenderNode
from .user_namespaces import judge_ids
from .views import ContainerState

PROBE_IMAGE: Final = "neurogrid/probe:1"

_PATIENCE_S: Final = 60
# A program of CUDA's on the host, before it has begun anything on a GPU.
_MEMORY_BYTES: Final = 512 << 20
_PIDS: Final = 32
_FACTS_BYTES_MAX: Final = 64 * 1024
# For what an engine says of a container to catch up with what it did.
_THAW_LIMIT_S: Final = 5
_THAW_LOOK_S: Final = 0.1


@dataclass(frozen=True, slots=True)
class ProbeReport:
    """What the probe saw.

    Attributes:
        facts: as the container printed them.
        failures: of the profile, in sentences; not empty means that this machine must not run jobs.
        gpu_failures: of what it was given; not empty means that these GPUs must not be given to jobs.
    """

    facts: Mapping[str, Any]
    failures: tuple[str, ...]
    gpu_failures: tuple[str, ...] = ()


async def probe(
    engine: JobEngine,
    image: ImageInfo,
    *,
    gpu_uuids: tuple[str, ...] = (),
    render_nodes: tuple[RenderNode, ...] = (),
    machine: str = "",
    inputs_path: Path | None = None,
    outputs_path: Path | None = None,
    user: str = NOBODY,
) -> ProbeReport:
    """Run one hardened container and judge what it reports. Takes about half a second.

    Args:
        image: ``PROBE_IMAGE``, as it is on this machine.
        gpu_uuids, render_nodes: GPUs that are given to it, of NVIDIA's and of AMD's.
        machine: of a fleet, where it runs.
        inputs_path, outputs_path: folders that it has as a job its own; what the engine cannot reach keeps it
            from starting.
        user: as whom it runs.

    Raises:
        EngineError: it could not be created or started; the message says what to do.
    """
    spec = replace(
        _spec(engine, image, ()),
        gpu_uuids=gpu_uuids,
        render_nodes=render_nodes,
        machine=machine,
        user=user,
        inputs_path=inputs_path,
        outputs_path=outputs_path,
    )
    text = ""
    async with _started(engine, spec) as container_id:
        with trio.move_on_after(_PATIENCE_S):
            async with engine.follow_logs(container_id, max_bytes=_FACTS_BYTES_MAX) as chunks:
                async for chunk in chunks:
                    text += chunk.text
    try:
        facts = json.loads(text)
    except ValueError:
        return ProbeReport({}, (f"the probe said nothing sensible: {text[-500:]!r}",))
    if not isinstance(facts, dict):
        return ProbeReport({}, (f"the probe said no facts: {text[-500:]!r}",))
    failures = (*judge(facts, spec, engine.abilities), *judge_ids(facts, engine.info.root_ids))
    return ProbeReport(facts, failures, judge_gpus(facts, spec))


async def probe_freezing(engine: JobEngine, image: ImageInfo) -> str:
    """Why a container cannot be frozen and go on, or "": one is.

    Raises:
        EngineError: it could not be created or started; the message says what to do.
    """
    async with _started(engine, _spec(engine, image, ("wait",))) as container_id:
        try:
            await engine.pause(container_id)
            frozen = (await engine.inspect(container_id)).state
            await engine.unpause(container_id)
            thawed = await _state_at_last(engine, container_id)
        except (EngineRefused, ContainerGone) as error:
            return str(error)
    if frozen is not ContainerState.PAUSED:
        return f"a container that was to be frozen is {frozen}"
    return "" if thawed is ContainerState.RUNNING else f"one that was to go on is {thawed}"


async def _state_at_last(engine: JobEngine, container_id: str) -> ContainerState:
    """Whether it goes on, once that has been said everywhere: an engine may hear of the pause after it has ended it."""
    late_s = trio.current_time() + _THAW_LIMIT_S
    while True:
        state = (await engine.inspect(container_id)).state
        if state is not ContainerState.PAUSED or trio.current_time() > late_s:
            return state
        await trio.sleep(_THAW_LOOK_S)


def judge(facts: Mapping[str, Any], spec: ContainerSpec, able: Abilities) -> tuple[str, ...]:
    """What is missing of the profile, in sentences. Pure.

    Args:
        able: what the engine holds to each job by itself; the rest, a fleet's trials look at.
    """
    uid = int(spec.user.partition(":")[0])
    expected = {
        "uid": (uid, "jobs do not run as the user they should"),
        "capabilities": (0, "jobs keep capabilities"),
        "no_new_privileges": ("1", "setuid programs could gain privileges"),
        "seccomp": ("2", "no seccomp filter is active"),
        "interfaces": (["lo"], "jobs have a network"),
        "write_root": ("EROFS", "the root filesystem is writable"),
        "user_namespace": ("EPERM", "jobs can make user namespaces"),
        "engine_socket": (False, "the engine's socket is visible to jobs"),
        "memory_max": (str(spec.memory_bytes), "the memory limit is not in force"),
        "pids_max": (str(spec.pids), "the process limit is not in force"),
    }
    if not able.own_network:
        del expected["interfaces"]
    if not able.own_pids:
        del expected["pids_max"]
    return tuple(
        f"{what} ({name} is {facts.get(name)!r}, not {value!r})"
        for name, (value, what) in expected.items()
        if facts.get(name) != value
    )


def judge_gpus(facts: Mapping[str, Any], spec: ContainerSpec) -> tuple[str, ...]:
    """Where a container has other GPUs than exactly those that it was given, in sentences. Pure."""
    failures = []
    seen = {str(digits) for digits in facts.get("gpus") or ()}
    given = {_digits(uuid): uuid for uuid in spec.gpu_uuids}
    cuda = facts.get("cuda")
    if spec.gpu_uuids and cuda != 0:
        why = "it finds no CUDA driver" if cuda == -1 else f"CUDA fails with {cuda}"
        failures.append(f"a job that was given a GPU cannot use it: {why}")
    else:
        failures += [
            f"{uuid} was given, and is not there" for d, uuid in given.items() if d not in seen
        ]
    failures += [f"a GPU that was not given is there: {d}" for d in sorted(seen - given.keys())]
    nodes = facts.get("gpu_nodes") or ()
    # Parts of one GPU share its node.
    if len(nodes) > len(spec.gpu_uuids):
        failures.append(f"nodes of GPUs that were not given are there: {', '.join(nodes)}")
    rendering = sorted(f"renderD{node.minor}" for node in spec.render_nodes)
    there = facts.get("render_nodes") or []
    if there != rendering:
        failures.append(f"it has the render nodes {there}, and was given {rendering}")
    elif rendering and facts.get("opens_render_nodes") is not True:
        failures.append(f"it may not open {', '.join(rendering)} or /dev/kfd")
    return tuple(failures)


def _digits(uuid: str) -> str:
    """The 32 digits in a GPU's, or a part's, UUID; the first where there are more, as before driver 470."""
    return uuid.removeprefix("MIG-").removeprefix("GPU-").partition("/")[0].replace("-", "")


def _spec(engine: JobEngine, image: ImageInfo, command: tuple[str, ...]) -> ContainerSpec:
    return ContainerSpec(
        lease_id=f"probe-{secrets.token_hex(6)}",
        node_id=engine.node_id,
        image=image,
        command=command or None,
        environment=(),
        cpu_millis=1000,
        memory_bytes=_MEMORY_BYTES,
        pids=_PIDS,
        disk_bytes=0,
    )


@asynccontextmanager
async def _started(engine: JobEngine, spec: ContainerSpec) -> AsyncIterator[str]:
    """Its container, which is gone afterwards."""
    container_id = await engine.create(spec)
    try:
        await engine.start(container_id)
        yield container_id
    finally:
        with trio.CancelScope(shield=True):
            await engine.remove(container_id)
