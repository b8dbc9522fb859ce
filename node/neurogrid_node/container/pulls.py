"""Pulls that several leases share, tried again within bounds, and begun only where the image has room.

An image's tag is looked up once for a pull: what is weighed, what is fetched and what is run are the same
bytes. A registry that can't be asked from here leaves that to the engine, which may have ways of its own.
"""

import logging
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass, field
from functools import partial
from typing import Final, Protocol

import trio

from neurogrid_marketplace.errors import InvalidValue
from neurogrid_marketplace.image_name import ImageName
from neurogrid_marketplace.registry_auth import RegistryAuth

from .errors import EngineError, ImageNotFound, NoDiskForImage, PullFailed, PullStalled
from .image_disk import UNPACKED_RATIO
from .manifest import Manifest
from .pull import PullProgress
from .registry import RegistryUnseen
from .spec import ImageInfo

_log = logging.getLogger(__name__)

# Of one pull. What is transient with a registry is over within seconds, and complete layers are kept.
PAUSES_S: Final = (2.0, 10.0)

# An engine unpacks some 300 MB in a second: it is stopped before the disk is full.
_LOOK_S: Final = 1.0
_LEAST_FREE_BYTES: Final = 2 << 30

Report = Callable[[PullProgress], None]


class PullEngine(Protocol):
    """What fetches; a `container.Engine`."""

    async def pull(
        self,
        reference: str,
        report: Report,
        *,
        stall_timeout_s: float,
        max_bytes: int | None = None,
        auth: RegistryAuth | None = None,
    ) -> ImageInfo:
        """Fetch an image."""

    async def tag(self, image_id: str, name: ImageName) -> None:
        """Let the image be known by this name."""


class Looks(Protocol):
    """What knows of images before they are here; a `registry.Registries`."""

    async def look(self, name: ImageName, auth: RegistryAuth | None = None) -> Manifest:
        """What the name stands for now."""


class Notes(Protocol):
    """Who remembers what was fetched, and by whom it is needed; an `image_cache.ImageCache`."""

    async def begin(self, name: ImageName) -> None:
        """One that is not here is about to be fetched."""

    async def arrived(
        self, name: ImageName, image: ImageInfo, holders: Collection[str], *, private: bool
    ) -> None:
        """It has come, for these leases."""

    async def failed(self, name: ImageName) -> None:
        """It has not."""

    async def free(self, size_bytes: int) -> None:
        """Make so much room, unpacked, out of what nobody needs; or as much as there is."""


@dataclass(frozen=True, slots=True)
class Pulled:
    """An image that was fetched.

    Attributes:
        pulled_bytes: compressed, as far as the engine told.
    """

    image: ImageInfo
    pulled_bytes: int


@dataclass(eq=False)
class _Shared:
    """A pull that runs.

    Attributes:
        waiting: for whom, and how they hear of it; "" is the owner.
        needs_bytes: compressed, that it may still have to fetch.
        error: why it failed; ``pulled``: what came of it; neither before ``done``.
    """

    scope: trio.CancelScope = field(default_factory=trio.CancelScope)
    done: trio.Event = field(default_factory=trio.Event)
    waiting: list[tuple[str, Report]] = field(default_factory=list)
    progress: PullProgress = field(default_factory=lambda: PullProgress(0, 0))
    needs_bytes: int = 0
    error: EngineError | None = None
    pulled: Pulled | None = None


class Pulls:
    """See the module."""

    def __init__(
        self,
        engine: PullEngine,
        registries: Looks,
        notes: Notes,
        nursery: trio.Nursery,
        *,
        stall_timeout_s: float,
        free_bytes: Callable[[], Awaitable[int | None]],
    ) -> None:
        """
        Args:
            nursery: pulls run in it, so that one goes on when the lease that began it has ended.
            stall_timeout_s: the longest silence.
            free_bytes: of the disk that images are on, now; None: nobody can say.
        """
        self._engine = engine
        self._registries = registries
        self._notes = notes
        self._nursery = nursery
        self._stall_timeout_s = stall_timeout_s
        self._free_bytes = free_bytes
        self._running: dict[tuple[ImageName, RegistryAuth | None], _Shared] = {}

    async def pull(
        self, lease_id: str, reference: str, report: Report, auth: RegistryAuth | None = None
    ) -> Pulled:
        """Fetch an image, or wait for whoever fetches it already as the same.

        Args:
            lease_id: that holds it from then on; "": none.
            report: told how far it is.
            auth: whom the registry is asked as; None: as anybody.

        Raises:
            ImageError: see errors.py; what may pass has been tried `PAUSES_S` more times.
            EngineError: the engine is away.
        """
        try:
            name = ImageName.read(reference)
        except InvalidValue as error:
            raise ImageNotFound(str(error)) from error
        key = (name, auth)
        shared = self._running.get(key)
        if shared is None:
            shared = self._running[key] = _Shared()
            self._nursery.start_soon(self._run, name, auth, shared)
        waits = (lease_id, report)
        shared.waiting.append(waits)
        report(shared.progress)
        try:
            await shared.done.wait()
        finally:
            shared.waiting.remove(waits)
            # Whoever comes now begins another: this one is about to be given up.
            if not shared.waiting and not shared.done.is_set():
                shared.scope.cancel()
                self._running.pop(key, None)
        if shared.error is not None:
            raise shared.error
        assert shared.pulled is not None, "it ended without an error"
        return shared.pulled

    async def _run(self, name: ImageName, auth: RegistryAuth | None, shared: _Shared) -> None:
        key = (name, auth)
        try:
            with shared.scope:
                await self._notes.begin(name)
                pulled = await self._pull(name, auth, shared)
                holders = {lease_id for lease_id, _ in shared.waiting if lease_id}
                await self._notes.arrived(name, pulled.image, holders, private=auth is not None)
                shared.pulled = pulled
        except EngineError as error:
            shared.error = error
        finally:
            if shared.pulled is None:
                with trio.CancelScope(shield=True):
                    await self._notes.failed(name)
            if self._running.get(key) is shared:
                del self._running[key]
            shared.done.set()

    async def _pull(self, name: ImageName, auth: RegistryAuth | None, shared: _Shared) -> Pulled:
        wanted = name
        try:
            manifest = await self._registries.look(name, auth)
        except RegistryUnseen as error:
            _log.info("%s; it is left to the engine", error)
        else:
            wanted = name.at(manifest.digest)
            shared.needs_bytes = manifest.compressed_bytes
        room_bytes = await self._room_for(name, shared)

        def report(progress: PullProgress) -> None:
            shared.progress = progress
            for _, told in shared.waiting:
                told(progress)

        for pause_s in (*PAUSES_S, None):
            try:
                image = await self._while_room(
                    name,
                    partial(
                        self._engine.pull,
                        wanted.reference,
                        report,
                        stall_timeout_s=self._stall_timeout_s,
                        max_bytes=room_bytes,
                        auth=auth,
                    ),
                )
                break
            except (PullFailed, PullStalled) as error:
                if pause_s is None:
                    raise
                _log.info("%s is tried again in %g s: %s", name.reference, pause_s, error)
                await trio.sleep(pause_s)
        if not name.digest and wanted.digest:
            # By its digest alone it would have no name, and not be found by this one.
            await self._engine.tag(image.image_id, name)
        return Pulled(image, shared.progress.done_bytes)

    async def _while_room(
        self, name: ImageName, pull: Callable[[], Awaitable[ImageInfo]]
    ) -> ImageInfo:
        """Pull while the disk has room: some bytes of a layer may unpack to any number.

        Raises:
            NoDiskForImage: it has not; the engine has been told to stop, and removes what was unpacked.
        """
        free_bytes = await self._free_bytes()
        if free_bytes is None:
            return await pull()
        least_bytes = min(_LEAST_FREE_BYTES, free_bytes // 2)
        image: ImageInfo | None = None
        failed: EngineError | None = None

        async def fetch() -> None:
            nonlocal image, failed
            try:
                image = await pull()
            except EngineError as error:
                failed = error
            nursery.cancel_scope.cancel()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(fetch)
            await self._until_less(least_bytes)
            nursery.cancel_scope.cancel()
        if failed is not None:
            raise failed
        if image is None:
            raise NoDiskForImage(
                f"{name.reference} is larger unpacked than its size lets expect: less than {least_bytes} bytes "
                "of the disk were left"
            )
        return image

    async def _until_less(self, least_bytes: int) -> None:
        while True:
            await trio.sleep(_LOOK_S)
            free_bytes = await self._free_bytes()
            if free_bytes is not None and free_bytes < least_bytes:
                return

    async def _room_for(self, name: ImageName, shared: _Shared) -> int | None:
        """What fits beside the other pulls.

        Raises:
            NoDiskForImage: not this one.
        """
        room_bytes = await self._room_beside(shared)
        if room_bytes is not None and shared.needs_bytes > room_bytes:
            await self._notes.free((shared.needs_bytes - room_bytes) * UNPACKED_RATIO)
            room_bytes = await self._room_beside(shared)
        if room_bytes is not None and shared.needs_bytes > room_bytes:
            raise NoDiskForImage(
                f"{name.reference} has {shared.needs_bytes} compressed bytes and this node has room for "
                f"{max(0, room_bytes)}: free disk space (docker image prune)"
            )
        return room_bytes

    async def _room_beside(self, shared: _Shared) -> int | None:
        free_bytes = await self._free_bytes()
        if free_bytes is None:
            return None
        others = (each for each in self._running.values() if each is not shared)
        return free_bytes // UNPACKED_RATIO - sum(
            max(0, each.needs_bytes - each.progress.done_bytes) for each in others
        )
