"""Asks the container engine, and runs a container like a job's. Jobs that run are not touched."""

import os
from collections.abc import AsyncIterator, Awaitable
from contextlib import ExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Final

import trio

from neurogrid_marketplace.addresses import Surroundings
from neurogrid_marketplace.challenge import CHALLENGE_IMAGE
from neurogrid_marketplace.identity import peer_id_of
from neurogrid_wallet.errors import WalletError
from neurogrid_wallet.keys import KeyPair

from ...container.engine import Engine, connect_engine
from ...container.errors import EngineError
from ...container.links import Links
from ...container.ports import no_part_in_another
from ...container.spec import DOCTOR
from ...container.user_namespaces import ROOT
from ...egress.jobs import JobNetworks
from ...egress.profile import LINK_IMAGE as EGRESS_IMAGE
from ...files.scratch import scratch_folder
from ...files.workspace import Workspaces
from ...gang.profile import LINK_IMAGE as GANG_IMAGE
from ...gang.profile import LINK_NAME_PREFIX as GANG_LINK_PREFIX
from ...gang.trial import obstacle as gang_obstacle
from ...key_files import IDENTITY_FILE
from ...lease.scrubbing import SCRUB_IMAGE
from ...machine.gpu_state import GpuState
from ...machine.proofs import Disproof
from ...machine.trials import Trials
from ...settings.machine import EngineConfig
from ...settings.network import EgressConfig
from ..engine import EngineFacts
from ..subject import Subject

# An engine that hangs must not keep doctor: a call to it ends by itself.
CALL_TIMEOUT_S: Final = 10
# A link comes up within a second; a busy machine may take longer.
_LINK_LIMIT_S: Final = 40
_NOT_UP: Final = f"it did not come up within {_LINK_LIMIT_S} s"


async def read_engine_facts(subject: Subject, *, has_nvidia: bool) -> EngineFacts:
    """The engine, and which of our images it has."""
    try:
        async with connect_engine(_node_id(subject), call_timeout_s=CALL_TIMEOUT_S) as engine:
            return await _engine_facts(engine, subject, has_nvidia=has_nvidia)
    except EngineError as error:
        return EngineFacts(None, str(error), too_old=error.code == "engine_too_old")


async def _engine_facts(engine: Engine, subject: Subject, *, has_nvidia: bool) -> EngineFacts:
    lacking = []
    try:
        await engine.remove_forsaken()
        for image, without in _images(subject, has_nvidia=has_nvidia).items():
            if await engine.image(image) is None:
                lacking.append((image, without))
    except EngineError as error:
        # It has gone since it was connected.
        return EngineFacts(None, str(error))
    free = await trio.to_thread.run_sync(_free_bytes, engine.info.data_root)
    config = subject.config.engine if subject.config is not None else EngineConfig()
    return EngineFacts(
        engine.info,
        has_nvidia=has_nvidia,
        free_bytes=free,
        lacking=tuple(lacking),
        in_swarm=config.kind == "swarm",
        is_node_root=os.geteuid() == 0,
        needs_user_namespaces=config.user_namespaces == "required",
    )


async def try_containers(
    subject: Subject, gpus: tuple[GpuState, ...]
) -> tuple[list[Disproof], int]:
    """A container like a job's, one that is frozen, and one with each of these GPUs; how many GPUs were well.

    Raises:
        EngineUnavailable: there is no engine.
    """
    runtime = subject.config.engine.runtime if subject.config is not None else ""
    async with (
        connect_engine(_node_id(subject), call_timeout_s=CALL_TIMEOUT_S, runtime=runtime) as engine,
        _workspaces(subject, engine) as workspaces,
    ):
        trials = Trials(engine, workspaces=workspaces)
        if disproof := await _tried(trials.container()):
            return [disproof], 0
        freezing = await _tried(trials.freezing())
        of_gpus = [await _tried(trials.gpu(gpu)) for gpu in gpus]
        disproofs = [each for each in (freezing, *of_gpus) if each is not None]
        return disproofs, of_gpus.count(None)


async def try_links(subject: Subject) -> tuple[list[Disproof], list[str]]:
    """A link of each kind that the owner lets jobs have: why it does not come up, and what was tried.

    Raises:
        EngineUnavailable: there is no engine.
        OSError: there is no place for their sockets.
    """
    config = subject.config
    if config is None or config.engine.kind != "docker":
        return [], []
    disproofs, tried = [], []
    async with connect_engine(
        _node_id(subject), call_timeout_s=CALL_TIMEOUT_S, runtime=config.engine.runtime
    ) as engine:
        apart = no_part_in_another(engine.info.job_runtimes)
        with scratch_folder(subject.place) as folder:
            if config.gang.serve:
                tried.append("a gang's")
                if problem := apart or await _no_gangs(engine, folder):
                    disproofs.append(Disproof("GANGS_UNPROVED", problem))
            if config.egress.serve:
                tried.append("one to hosts")
                if problem := apart or await _no_egress(engine, folder, config.egress):
                    disproofs.append(Disproof("EGRESS_UNPROVED", problem))
    return disproofs, tried


async def _no_gangs(engine: Engine, folder: Path) -> str:
    """Why no gang's link comes up, or ""."""
    links = Links(engine, GANG_IMAGE, GANG_LINK_PREFIX, folder)
    problem = _NOT_UP
    with trio.move_on_after(_LINK_LIMIT_S):
        problem = await gang_obstacle(links, engine.node_id)
    return problem


async def _no_egress(engine: Engine, folder: Path, config: EgressConfig) -> str:
    """Why no link to hosts comes up, or ""."""
    problem = _NOT_UP
    with trio.move_on_after(_LINK_LIMIT_S):
        async with trio.open_nursery() as nursery:
            # Nothing is connected to, so nothing has to be known of what is near.
            networks = JobNetworks(engine, folder, config.caps(), Surroundings, nursery)
            problem = await networks.obstacle()
            nursery.cancel_scope.cancel()
    return problem


@asynccontextmanager
async def _workspaces(subject: Subject, engine: Engine) -> AsyncIterator[Workspaces | None]:
    """For the folders of a container that is tried; None where there can be none, which is said of the disk."""
    with ExitStack() as stack:
        workspaces = None
        with suppress(OSError):
            folder = stack.enter_context(scratch_folder(subject.place))
            root_ids = engine.info.root_ids or ROOT
            workspaces = await Workspaces.open(folder / "files", root_ids=root_ids)
        yield workspaces


async def _tried(trial: Awaitable[Disproof | None]) -> Disproof | None:
    try:
        return await trial
    except (EngineError, OSError) as error:
        return Disproof("CONTAINER_REFUSED", str(error))


def _node_id(subject: Subject) -> str:
    """The node's own, so that it removes at its next start what a killed doctor has left."""
    try:
        identity = KeyPair.read_solana_file(subject.directory / IDENTITY_FILE)
    except WalletError:
        return DOCTOR
    return peer_id_of(identity.public_key)


def _images(subject: Subject, *, has_nvidia: bool) -> dict[str, str]:
    """Our own images that this node has a use for, and what does not work without."""
    config: Any = subject.config
    wanted = {}
    if config is not None and config.gang.serve:
        wanted[GANG_IMAGE] = "no gangs run here"
    if config is not None and config.egress.serve:
        wanted[EGRESS_IMAGE] = "no job has a network here"
    if has_nvidia:
        wanted[SCRUB_IMAGE] = "GPUs' memory is not overwritten between jobs"
        wanted[CHALLENGE_IMAGE] = "it is pulled for each challenge, or the challenge is failed"
    return wanted


def _free_bytes(data_root: str) -> int | None:
    try:
        space = os.statvfs(data_root)
    except OSError:  # the engine has a filesystem of its own
        return None
    return space.f_bavail * space.f_frsize
