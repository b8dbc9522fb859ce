"""The images that this node has fetched: who has them, which stay, which go.

Removed is what this node brought and nobody needs, by its name and without force: the engine keeps what
has another name or a container.
"""

import logging
import sqlite3
from collections.abc import Callable, Collection, Sequence
from functools import partial
from typing import Final, ParamSpec, Protocol, TypeVar

import trio

from neurogrid_marketplace.errors import InvalidValue
from neurogrid_marketplace.image_name import ImageName

from .errors import (
    ContainerGone,
    EngineConflict,
    EngineError,
    EngineRefused,
    EngineUnavailable,
    ImageNotFound,
)
from .image_eviction import KeptImage, leaving
from .image_store import ImageStore
from .spec import ImageInfo

P = ParamSpec("P")
T = TypeVar("T")

_log = logging.getLogger(__name__)

# Nothing waits for an image to go, but a pull that finds no room, which asks by itself.
_INTERVAL_S: Final = 60.0


class CacheEngine(Protocol):
    """Where images are; a `container.Engine`."""

    async def image(self, reference: str) -> ImageInfo | None:
        """The image as it is on this machine, or None."""

    async def image_ids(self) -> frozenset[str]:
        """Of all that are here, with names and without."""

    async def remove_image(self, name: str) -> None:
        """Take this name away, and the image with its last one."""


class ImageCache:
    """See the module. What the disk refuses to note costs an image that stays, and no job."""

    def __init__(
        self,
        store: ImageStore,
        engine: CacheEngine,
        now_ms: Callable[[], int],
        *,
        limit_bytes: int,
    ) -> None:
        """
        Args:
            limit_bytes: how much of what nobody needs is kept.
        """
        self._store = store
        self._engine = engine
        self._now_ms = now_ms
        self._limit_bytes = limit_bytes
        self._slot = trio.CapacityLimiter(1)
        self._turn = trio.Lock()
        self._here: dict[str, frozenset[str]] = {}

    # What leases have

    async def image(self, reference: str) -> ImageInfo | None:
        """The image as it is on this machine, if anybody may have it; None: it is to be fetched.

        Somebody's own, which it took credentials to fetch, is fetched again as whoever asks: their registry
        decides, and what is here already does not travel. It is looked for by its whole name: the engine would
        take a short one for an image's id, too.

        Raises:
            ImageNotFound: that is no image's name.
            EngineUnavailable: nobody can say now.
        """
        image = await self._engine.image(full_name(reference))
        if image is None:
            return None
        is_private = await self._noted(self._store.is_private, image)
        if is_private is None:
            raise EngineUnavailable("images.db cannot be read, and whose an image is can't be said")
        return None if is_private else image

    async def here(self, lease_id: str, reference: str) -> ImageInfo | None:
        """As `image`, and it is held for a lease from now on."""
        image = await self.image(reference)
        if image is None:
            return None
        await self._noted(self._store.hold, lease_id, full_name(reference), self._now_ms())
        # It may have gone while nobody held it.
        return await self.image(reference)

    async def offered(self, names: Sequence[str]) -> tuple[str, ...]:
        """Those of the engine's names that may be told to coordinators: nobody's own."""
        known = await self._noted(self._store.images)
        if known is None:
            return ()
        own = {_repository(each.name) for each in known if each.private}
        return tuple(name for name in names if _repository(name) not in own)

    async def release(self, live: Collection[str]) -> None:
        """Leases other than these have ended."""
        await self._noted(self._store.release, live, self._now_ms())

    # What `Pulls` notes

    async def begin(self, name: ImageName) -> None:
        """One that is not here is about to be fetched."""
        self._here[name.reference] = await self._engine.image_ids()
        await self._noted(self._store.begin, name.reference, self._now_ms())

    async def arrived(
        self, name: ImageName, image: ImageInfo, holders: Collection[str], *, private: bool
    ) -> None:
        """It has come, for these leases."""
        is_new = image.image_id not in self._here.pop(name.reference, frozenset())
        await self._noted(
            self._store.arrived,
            name.reference,
            image,
            self._now_ms(),
            is_new=is_new,
            private=private,
            holders=holders,
        )

    async def failed(self, name: ImageName) -> None:
        """It has not."""
        self._here.pop(name.reference, None)
        await self._noted(self._store.failed, name.reference)

    # What stays and what goes

    async def restore(self) -> None:
        """At start: what an earlier life was fetching has come, or not."""
        for each in await self._images():
            if each.image_id:
                continue
            image = await self._engine.image(each.name)
            if image is None:
                await self._noted(self._store.failed, each.name)
            else:
                await self._noted(
                    self._store.arrived,
                    each.name,
                    image,
                    self._now_ms(),
                    is_new=True,
                    # Whoever it was fetched for: nobody knows any more, so everybody is asked.
                    private=True,
                    holders=(),
                )

    async def free(self, size_bytes: int) -> None:
        """Remove what nobody needs until so much more is free, or nothing is left to remove."""
        await self.prune(freed_bytes=size_bytes)

    async def prune(
        self, *, limit_bytes: int | None = None, freed_bytes: int = 0
    ) -> list[KeptImage]:
        """Remove what is more than is kept; returns what is gone.

        Raises:
            EngineError: the engine is away.
        """
        limit = self._limit_bytes if limit_bytes is None else limit_bytes
        gone = []
        async with self._turn:
            for each in leaving(await self._images(), limit, freed_bytes):
                if await self._remove(each):
                    _log.info("removed image %s, last used %d", each.name, each.used_at_ms)
                    gone.append(each)
        return gone

    async def run(self, live: Callable[[], Collection[str]]) -> None:
        """Keep to the limit for ever.

        Args:
            live: the leases that are not over.
        """
        while True:
            try:
                await self.release(live())
                await self.prune()
            except EngineError as error:
                _log.debug("images: %s", error)
            await trio.sleep(_INTERVAL_S)

    async def _remove(self, image: KeptImage) -> bool:
        # Out of the list first: whoever holds it from now on looks again, and finds it or fetches it anew.
        if not await self._noted(self._store.forget, image.name):
            return False
        try:
            await self._engine.remove_image(image.name)
        except ContainerGone:
            return True
        except (EngineConflict, EngineRefused) as error:
            _log.info("image %s stays: %s", image.name, error)
            await self._noted(self._store.restore, image)
            return False
        except EngineError:
            await self._noted(self._store.restore, image)
            raise
        return True

    async def _images(self) -> list[KeptImage]:
        return await self._noted(self._store.images) or []

    async def _noted(
        self, use: Callable[P, T], *arguments: P.args, **options: P.kwargs
    ) -> T | None:
        try:
            return await trio.to_thread.run_sync(
                partial(use, *arguments, **options), limiter=self._slot
            )
        except sqlite3.Error as error:
            _log.warning("images.db: %s", error)
            return None


def full_name(reference: str) -> str:
    """What an image is looked for and noted by.

    Raises:
        ImageNotFound: that is no image's name.
    """
    try:
        return ImageName.read(reference).reference
    except InvalidValue as error:
        raise ImageNotFound(str(error)) from error


def _repository(name: str) -> str:
    try:
        return ImageName.read(name).full_repository
    except InvalidValue:
        return ""
