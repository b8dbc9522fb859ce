"""Each GPU that is offered, by the program of the market's challenges in a container like a job's."""

import re
import secrets
from collections.abc import Iterable
from typing import Final

from neurogrid_marketplace.challenge import CHALLENGE_IMAGE
from neurogrid_marketplace.challenge_arithmetic import DIMENSION, TILE_BYTES
from neurogrid_marketplace.resources import NVIDIA

from ..config import Config
from ..container.errors import EngineError
from ..container.job_engine import JobEngine
from ..container.spec import ContainerSpec, ImageInfo
from ..engines import open_engine
from ..lease.scrubbing import run_to_end
from ..machine.gpu_state import GpuState
from ..machine.inventory import read_gpus
from ..machine.toolkit import toolkit_disproof, toolkit_says
from .figures import GPU_COMPUTE, GPU_MEMORY, Figure, figure

_TRIES: Final = 3
# 1 GiB, more than any GPU's cache, and never more than a quarter of its memory.
_TILES: Final = 1 << 18
_MEMORY_SHARE: Final = 4
# Some hundred milliseconds of a quick GPU, some seconds of a slow one; the most that the program takes for walks.
_ROUNDS: Final = 32
_WALKS: Final = 1 << 16
_STEPS: Final = 1 << 10
_LIMIT_S: Final = 120.0
_MULTIPLICATIONS: Final = DIMENSION**3
_GIGA: Final = 10**9
# CUDA's own, on the host; a quarter of it is /tmp.
_HOST_BYTES: Final = 2 << 30
_PIDS: Final = 64
# What the program says of each device (images/challenge/challenge.c).
_SAID: Final = re.compile(r"filled (\d+) bytes in (\d+) ms, walked in (\d+) ms")


async def gpus(config: Config, node_id: str, *, is_node_running: bool) -> tuple[Figure, ...]:
    """What each comes to; nothing where none is offered.

    Args:
        is_node_running: then none is touched: it may give one to a job at any moment.
    """
    # A fleet's machines have their own, and are measured on their own.
    if not config.offer.gpus or config.engine.kind != "docker":
        return ()
    there = (await read_gpus()).gpus
    if not there:
        return ()
    if is_node_running:
        return _none(there, "a node runs here, and may give it to a job: neurogrid-node stop")
    if any(gpu.vendor == NVIDIA for gpu in there):
        disproof = toolkit_disproof(await toolkit_says())
        if disproof is not None:
            return _none(there, disproof.message)
    try:
        async with open_engine(
            config.engine, node_id, longest_job_s=config.risk.max_timeout_s
        ) as engine:
            image = await engine.image(CHALLENGE_IMAGE)
            if image is None:
                return _none(there, f"{CHALLENGE_IMAGE} is not here: make images")
            # One after the other: what they share, they would take from each other.
            return tuple([each for gpu in there for each in await _measured(engine, image, gpu)])
    except EngineError as error:
        return _none(there, str(error))


async def _measured(engine: JobEngine, image: ImageInfo, gpu: GpuState) -> tuple[Figure, ...]:
    if gpu.vendor != NVIDIA:
        return _none([gpu], f"our program speaks CUDA, and it is of {gpu.vendor}")
    tiles = max(1, min(_TILES, gpu.memory_bytes // _MEMORY_SHARE // TILE_BYTES))
    spec = ContainerSpec(
        lease_id=f"benchmark-{secrets.token_hex(6)}",
        node_id=engine.node_id,
        image=image,
        command=(
            *("/tmp/answer.json", str(_ROUNDS), str(_STEPS)),
            f"{gpu.uuid},{tiles},{_WALKS},{'0' * 32},1",
        ),
        environment=(),
        cpu_millis=1000,
        memory_bytes=_HOST_BYTES,
        pids=_PIDS,
        disk_bytes=0,
        gpu_uuids=(gpu.uuid,),
    )
    computed, read = [], []
    for _ in range(_TRIES):
        ended = await run_to_end(engine, spec, _LIMIT_S)
        said = _SAID.search(ended.words)
        if ended.problem or said is None:
            return _none(
                [gpu], ended.problem or f"it said nothing sensible: {ended.words[-200:]!r}"
            )
        _, filled_ms, walked_ms = map(int, said.groups())
        computed.append(tiles * _ROUNDS * _MULTIPLICATIONS / _GIGA * 1000 / max(1, filled_ms))
        read.append(_WALKS * _STEPS * TILE_BYTES / _GIGA * 1000 / max(1, walked_ms))
    return (figure(GPU_COMPUTE, computed, gpu.uuid), figure(GPU_MEMORY, read, gpu.uuid))


def _none(there: Iterable[GpuState], problem: str) -> tuple[Figure, ...]:
    return tuple(
        Figure(measure.name, None, problem, gpu.uuid)
        for gpu in there
        for measure in (GPU_COMPUTE, GPU_MEMORY)
    )
