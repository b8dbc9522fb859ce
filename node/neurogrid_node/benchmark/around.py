"""What is around the machine's hardware: its container engine, and the coordinators."""

import time
from dataclasses import replace
from typing import Final

import trio

from ..config import Config
from ..container.errors import EngineError
from ..container.probe import PROBE_IMAGE, probe
from ..engines import open_engine
from ..market.welcomes import meet_coordinators
from .figures import CONTAINER, COORDINATOR, Figure, median

_CONTAINERS: Final = 5
_ENGINE_LIMIT_S: Final = 60.0


async def container(config: Config, node_id: str) -> Figure:
    """The probe's container: made, started, looked into and removed, the median of five."""
    taken_ms = []
    try:
        with trio.fail_after(_ENGINE_LIMIT_S):
            async with open_engine(
                config.engine, node_id, longest_job_s=config.risk.max_timeout_s
            ) as engine:
                image = await engine.image(PROBE_IMAGE)
                if image is None:
                    return Figure(CONTAINER.name, None, f"{PROBE_IMAGE} is not here: make images")
                for _ in range(_CONTAINERS):
                    began_s = time.perf_counter()
                    await probe(engine, image)
                    taken_ms.append((time.perf_counter() - began_s) * 1000)
    except EngineError as error:
        return Figure(CONTAINER.name, None, str(error))
    except trio.TooSlowError:
        return Figure(CONTAINER.name, None, f"not done within {_ENGINE_LIMIT_S:g} s")
    return Figure(CONTAINER.name, median(taken_ms))


async def coordinator(config: Config) -> Figure:
    """How long the nearest of those that are listed takes from a connection's first byte to its welcome."""
    found = Figure(COORDINATOR.name, None, "none is listed in node.toml")
    for address in config.coordinators:
        alone = replace(config, coordinators=(address,))
        began_s = time.perf_counter()
        (met,) = await meet_coordinators(alone)
        taken_ms = (time.perf_counter() - began_s) * 1000
        if met.problem and found.value is None:
            found = Figure(COORDINATOR.name, None, met.problem)
        elif not met.problem and (found.value is None or taken_ms < found.value):
            found = Figure(COORDINATOR.name, taken_ms)
    return found
