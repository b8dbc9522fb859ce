"""Which engine runs the jobs, and where their files lie: by node.toml."""

import logging
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from neurogrid_marketplace.resources import Capacity

from .container.engine import connect_engine
from .container.errors import EngineUnavailable
from .container.job_engine import JobEngine
from .container.user_namespaces import REMAP, obstacle
from .container.views import EngineInfo
from .files.workspace import Workspaces
from .fleet.fleet import Fleet
from .kube.api import ClusterAccess
from .kube.engine import KubeEngine, connect_cluster
from .kube.pod import PodPlace
from .settings.machine import EngineConfig, OfferConfig
from .swarm.engine import SwarmEngine, connect_swarm

_log = logging.getLogger(__name__)

_GIB = 1024**3
_DEADLINE_SLACK_S = 3600


@asynccontextmanager
async def open_engine(
    config: EngineConfig, node_id: str, *, longest_job_s: int
) -> AsyncIterator[JobEngine]:
    """The engine that the owner has chosen; leaving closes the connection, jobs run on.

    What a killed doctor has left on a single engine is removed first.

    Args:
        longest_job_s: that is taken here.

    Raises:
        EngineUnavailable: nothing answers, or it cannot hold jobs as it should; the message says what to do.
        EngineRefused: it does not let us.
    """
    if config.kind == "swarm":
        async with connect_swarm(node_id) as swarm:
            yield swarm
    elif config.kind == "kubernetes":
        access, place = cluster_of(config, longest_job_s)
        async with connect_cluster(node_id, access, place) as cluster:
            yield cluster
    else:
        async with connect_engine(node_id, runtime=config.runtime) as docker:
            check_engine(docker.info, config)
            await docker.remove_forsaken()
            yield docker


def cluster_of(config: EngineConfig, longest_job_s: int) -> tuple[ClusterAccess, PodPlace]:
    """Which cluster, and what all its pods have in common."""
    return (
        ClusterAccess(config.kubeconfig, config.context, config.namespace),
        PodPlace(
            claim=config.claim,
            shared=config.shared_folder(),
            runtime_class=config.runtime,
            has_user_namespaces=config.user_namespaces == "required",
            # Its machine may have to pull the image first; the node's own limits end it long before.
            longest_s=longest_job_s + _DEADLINE_SLACK_S,
        ),
    )


def check_engine(info: EngineInfo, config: EngineConfig) -> None:
    """Whether this machine's engine can be relied on as the owner asks, by what it says of itself.

    Raises:
        EngineUnavailable: it cannot.
    """
    for advice in info.advice:
        _log.warning("%s", advice)
    if info.unenforced:
        raise EngineUnavailable(
            "the container engine cannot keep jobs within their limits, so none may run here: "
            + "; ".join(info.unenforced)
        )
    if problem := obstacle(info.root_ids, is_node_root=os.geteuid() == 0):
        raise EngineUnavailable(f"{problem}: see docs/runtimes.md")
    if config.user_namespaces == "required" and not info.is_remapped:
        raise EngineUnavailable(
            "[engine] user_namespaces in node.toml requires an engine that remaps users, and this one does "
            f"not: {REMAP}; or change node.toml"
        )


def files_root(config: EngineConfig, directory: Path, node_id: str) -> Path:
    """Where the jobs' files lie. A shared folder may be another node's, too."""
    if config.is_fleet:
        return config.shared_folder() / node_id
    return directory / "workspaces"


def fleet_of(
    engine: JobEngine,
    workspaces: Workspaces,
    config: EngineConfig,
    offer: OfferConfig,
    disk_bytes: int,
    directory: Path,
) -> Fleet | None:
    """The machines of an engine that has several; None of one that has this one.

    Args:
        offer: its cores and memory hold for each machine.
        disk_bytes: of the folder that they share, for jobs.
    """
    if not isinstance(engine, SwarmEngine | KubeEngine):
        return None
    most = Capacity(offer.cpu_cores * 1000, offer.memory_gib * _GIB, disk_bytes)
    return Fleet(engine, workspaces, config.trial_image, most, directory)
