"""Asks a Kubernetes cluster, and reads what the node has found of its machines. Nothing is run there."""

import json
from pathlib import Path

from ...container.errors import EngineError, EngineRefused
from ...engines import cluster_of
from ...fleet.fleet import FLEET_FILE
from ...kube.engine import connect_cluster
from ...settings.machine import EngineConfig
from ..cluster import ClusterFacts

# One that hangs must not keep doctor: a call to it ends by itself.
_CALL_TIMEOUT_S = 10


async def read_cluster_facts(config: EngineConfig, longest_job_s: int) -> ClusterFacts:
    """The cluster, and its machines as it tells of them."""
    access, place = cluster_of(config, longest_job_s)
    try:
        async with connect_cluster(
            "doctor", access, place, call_timeout_s=_CALL_TIMEOUT_S
        ) as engine:
            try:
                found = await engine.machines()
                image = await engine.trial_image(config.trial_image)
            except EngineError as error:
                # It has gone since it was connected.
                return ClusterFacts("", str(error))
            ready = sum(machine.is_ready for machine in found)
            return ClusterFacts(
                engine.info.version,
                machines=ready,
                closed=len(found) - ready,
                lacking="" if image is not None else config.trial_image,
            )
    except EngineError as error:
        return ClusterFacts("", str(error), refused=isinstance(error, EngineRefused))


def read_fleet(directory: Path) -> tuple[int, int]:
    """How many machines the node offers, of how many that it has seen; none: it has not looked. Blocks."""
    try:
        machines = json.loads((directory / FLEET_FILE).read_text())
        return sum(bool(each["is_offered"]) for each in machines), len(machines)
    except (OSError, ValueError, KeyError, TypeError):
        return 0, 0
