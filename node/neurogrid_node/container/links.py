"""Links: containers beside jobs, each the way from a job's network to something (`link_profile`).

A link outlives the daemon: one that restarts finds it as it was. If it ends itself, what the job needs is
gone for good, because its network can't be joined again from outside.
"""

import logging
import os
import shutil
import socket
import uuid
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import trio

from .errors import ContainerGone, EngineError, EngineRefused
from .job_engine import JobEngine
from .link_profile import LinkSpec

_log = logging.getLogger(__name__)

# Where the daemon's socket is, in the folder that the link has; the programs in images/ name it, too.
SOCKET_NAME: Final = "link.sock"
# A link is up within a second; a busy machine may take longer.
_LINK_LIMIT_S = 60.0
_RETRY_S = 1.0
_LOG_BYTES_MAX = 4096
# One that connects, and one that replaces it.
_BACKLOG = 2


class LinkFailed(EngineRefused):
    """A link did not come up, or is gone: this machine's fault."""

    code = "link_failed"


class Links:
    """The links of one kind, and a folder for each.

    Args:
        image: what they run.
        name_prefix: of the names of their containers.
        directory: for their sockets, and what else is kept of a lease; nobody's but ours.
    """

    def __init__(self, engine: JobEngine, image: str, name_prefix: str, directory: Path) -> None:
        self._engine = engine
        self._image = image
        self._directory = directory
        self.name_prefix = name_prefix

    def folder_of(self, lease_id: str) -> Path:
        """Whoever serves a lease makes it before its link is started; `remove` removes it."""
        return self._directory / lease_id

    async def image_id(self) -> str:
        """Of what they run, as it is on this machine.

        Raises:
            LinkFailed: it is not there.
            EngineError: the engine is away.
        """
        image = await self._engine.image(self._image)
        if image is None:
            raise LinkFailed(f"{self._image} is not on this machine any more: make images")
        return image.image_id

    async def start(self, spec: LinkSpec, until_up: Callable[[], Awaitable[None]]) -> str:
        """Create and start one, unless it is there; returns its container's id once it is up.

        Raises:
            LinkFailed: it did not come up; says what it said.
            EngineError: the engine is away.
        """
        container_id = await self._engine.create_link(spec)
        view = await self._engine.inspect(container_id)
        if view.ended is None:
            await self._engine.start(container_id)
            if await self._is_up(container_id, until_up):
                return container_id
        raise LinkFailed(f"{self._image} did not come up: {await self._words(container_id)}")

    async def until_lost(self, lease_id: str) -> None:
        """Wait for the end of a lease's link."""
        while True:
            try:
                view = await self._engine.inspect(self.name_prefix + lease_id)
                await self._engine.wait(view.container_id)
                return
            except ContainerGone:
                return
            except EngineError as error:
                _log.info("link of %s: %s", lease_id, error)
                await trio.sleep(_RETRY_S)

    async def remove(self, lease_id: str) -> None:
        """Remove a lease's link and its folder, if it has one.

        Raises:
            EngineError, OSError: something is still there; ask again.
        """
        folder = self.folder_of(lease_id)
        # It is made before the container and removed after it, so it says whether there is one.
        if folder.exists():
            await self._engine.remove(self.name_prefix + lease_id)
            shutil.rmtree(folder)

    async def sweep(self, keep: set[str]) -> None:
        """At start: remove those of no lease.

        Raises:
            EngineError: the engine is away.
        """
        for found in await self._engine.list_links(self.name_prefix):
            if found.lease_id not in keep:
                _log.warning("removing a link of forgotten lease %s", found.lease_id)
                await self._engine.remove(found.container_id)
        for folder in self._directory.iterdir():
            if folder.name not in keep:
                shutil.rmtree(folder, ignore_errors=True)

    async def _is_up(self, container_id: str, until_up: Callable[[], Awaitable[None]]) -> bool:
        is_up = False

        async def come_up() -> None:
            nonlocal is_up
            await until_up()
            is_up = True
            nursery.cancel_scope.cancel()

        with trio.move_on_after(_LINK_LIMIT_S):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(come_up)
                await self._engine.wait(container_id)
                nursery.cancel_scope.cancel()
        return is_up

    async def _words(self, container_id: str) -> str:
        """What a link said before it failed."""
        text = ""
        with trio.move_on_after(_RETRY_S):
            async with self._engine.follow_logs(container_id, max_bytes=_LOG_BYTES_MAX) as chunks:
                async for chunk in chunks:
                    text += chunk.text
        return text.strip() or f"it said nothing (docker logs {container_id[:12]})"


async def obstacle(
    join: Callable[[str], Awaitable[object]], leave: Callable[[str], Awaitable[None]]
) -> str:
    """Why this machine can hold no link of a kind, or "": one is tried. Takes half a second.

    Args:
        join, leave: called with the id of a lease that is none.
    """
    lease_id = f"probe-{uuid.uuid4().hex}"
    try:
        try:
            await join(lease_id)
        finally:
            with trio.CancelScope(shield=True):
                await leave(lease_id)
    except (EngineError, OSError) as error:
        return str(error)
    return ""


@contextmanager
def listening(directory: Path) -> Iterator[trio.SocketListener]:
    """Listen for a link in ``directory``, which is made, until the block ends; what an earlier life left goes.

    Raises:
        OSError: the disk does not take it.
    """
    # The link's process has no capability to look past permissions, so it is let through by them; the folder
    # above is its owner's alone.
    directory.mkdir(exist_ok=True)
    directory.chmod(0o755)
    (directory / SOCKET_NAME).unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        folder = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
        try:
            # A socket's address has 108 bytes; paths of nodes are longer.
            listener.bind(f"/proc/self/fd/{folder}/{SOCKET_NAME}")
        finally:
            os.close(folder)
        (directory / SOCKET_NAME).chmod(0o666)
        listener.listen(_BACKLOG)
        yield trio.SocketListener(trio.socket.from_stdlib_socket(listener))
