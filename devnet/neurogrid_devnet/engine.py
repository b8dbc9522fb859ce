"""The container engine, as the devnet needs it: is it there, has it the images, remove what is left.

Imported only where it is needed: docker-py takes a third of a second.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from neurogrid_node.container.docker import DockerClient
from neurogrid_node.container.engine import Engine
from neurogrid_node.container.errors import EngineError, EngineUnavailable
from neurogrid_node.egress.profile import LINK_NAME_PREFIX as EGRESS_LINK
from neurogrid_node.files.workspace_disk import DiskError, unmount
from neurogrid_node.gang.profile import LINK_NAME_PREFIX as GANG_LINK

from .errors import EngineMissing, ImagesMissing
from .layout import JOB_IMAGE

# A node that is being killed may still have one container under way.
_SWEEPS_MAX = 5
_GRACE_S = 5.0


async def check_engine(image: str = JOB_IMAGE) -> None:
    """Find out whether jobs can run on this machine.

    Raises:
        EngineMissing: no engine answers.
        ImagesMissing: it does not have the image.
    """
    try:
        async with _engine_of("devnet") as engine:
            found = await engine.image(image)
    except EngineUnavailable as error:
        raise EngineMissing(
            f"{error}; in a checkout of NeuroGrid, `make engine` does it"
        ) from error
    if found is None:
        raise ImagesMissing(f"the image {image} is not built: type `make images`")


async def remove_containers(peer_ids: Sequence[str]) -> list[str]:
    """Remove every container of these nodes, running or not: jobs, their links, and what trials have left.

    Returns: what could not be removed, in words.
    """
    problems: list[str] = []
    for peer_id in peer_ids:
        try:
            async with _engine_of(peer_id) as engine:
                await _remove_all(engine)
        except EngineUnavailable as error:
            return [f"the containers of {len(peer_ids)} nodes are left: {error}"]
        except EngineError as error:
            problems.append(f"containers of {peer_id} are left: {error}")
    return problems


async def _remove_all(engine: Engine) -> None:
    for _ in range(_SWEEPS_MAX):
        found = list(await engine.list_leases())
        for prefix in (GANG_LINK, EGRESS_LINK):
            found += await engine.list_links(prefix)
        if not found:
            return
        for container in found:
            await engine.remove(container.container_id)


@asynccontextmanager
async def _engine_of(node_id: str) -> AsyncIterator[Engine]:
    """An engine that waits for nothing, so that it needs nobody to follow its events."""
    client = await DockerClient.connect(None)
    try:
        yield Engine(client, node_id, grace_s=_GRACE_S)
    finally:
        client.close()


def unmount_below(folder: Path) -> list[str]:
    """Unmount every lease's disk below a folder; what could not be, in words."""
    problems = []
    for target in mounts_below(folder):
        try:
            unmount(target)
        except DiskError as error:
            problems.append(str(error))
    return problems


def mounts_below(folder: Path) -> list[Path]:
    """What is mounted below a folder."""
    folder = folder.resolve()
    try:
        lines = Path("/proc/self/mounts").read_text().splitlines()
    except OSError:
        return []  # no Linux: nodes mount nothing there
    # The kernel writes a blank as \040.
    targets = [Path(line.split(" ")[1].replace("\\040", " ")) for line in lines]
    return [target for target in targets if target != folder and target.is_relative_to(folder)]
