"""An owner's look at the node's images, beside a running daemon or without one: `neurogrid-node images`."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import trio

from neurogrid_marketplace.errors import InvalidValue
from neurogrid_marketplace.image_name import ImageName

from ..config import CONFIG_NAME, load_config
from ..files.artifacts import http_client
from ..machine.clock import now_ms
from .engine import Engine, connect_engine
from .errors import ImageNotFound
from .image_cache import ImageCache
from .image_disk import cache_limit_bytes, image_free_bytes
from .image_eviction import KeptImage
from .image_store import ImageStore
from .pull import PullProgress
from .pulls import Pulls
from .registry import Registries
from .spec import ImageInfo

# Of whoever is not a node: it has no containers.
_NOBODY = "owner"


class ImageDesk:
    """See the module; made by `image_desk`. All raise EngineError, and sqlite3.Error where the disk refuses.

    Attributes:
        limit_bytes: how much of what nobody uses is kept.
    """

    def __init__(
        self, engine: Engine, store: ImageStore, cache: ImageCache, pulls: Pulls, limit_bytes: int
    ) -> None:
        self.limit_bytes = limit_bytes
        self._engine = engine
        self._store = store
        self._cache = cache
        self._pulls = pulls

    async def known(self) -> list[KeptImage]:
        """What the node has fetched or its owner has pinned, and is here; the last used first."""
        known = await trio.to_thread.run_sync(self._store.images)
        found = [each for each in known if await self._engine.image(each.name) is not None]
        return found[::-1]

    async def pin(self, reference: str) -> str:
        """It stays; its name in full.

        Raises:
            ImageNotFound: it is not here.
        """
        name = _full(reference)
        image = await self._engine.image(name)
        if image is None:
            raise ImageNotFound(
                f"{name} is not on this machine: neurogrid-node images pull --pin {reference}"
            )
        await self._pin(name, image)
        return name

    async def unpin(self, reference: str) -> bool:
        """It may go when its turn comes; whether it was pinned."""
        return await trio.to_thread.run_sync(self._store.unpin, _full(reference))

    async def pull(
        self, reference: str, report: Callable[[PullProgress], None], *, pinned: bool
    ) -> ImageInfo:
        """Fetch it as jobs' images are, from wherever its owner says."""
        name = _full(reference)
        image = await self._engine.image(name)
        if image is None:
            image = (await self._pulls.pull("", name, report)).image
        if pinned:
            await self._pin(name, image)
        return image

    async def prune(self, *, everything: bool) -> list[KeptImage]:
        """Remove what is more than is kept, or all that nobody needs; returns what is gone."""
        return await self._cache.prune(limit_bytes=0 if everything else None)

    async def _pin(self, name: str, image: ImageInfo) -> None:
        await trio.to_thread.run_sync(self._store.pin, name, image, now_ms())


@asynccontextmanager
async def image_desk(directory: Path) -> AsyncIterator[ImageDesk]:
    """Of the node in this directory.

    Raises:
        ConfigError: there is none.
        EngineUnavailable: no engine answers; the message says what to do.
    """
    config = load_config(directory / CONFIG_NAME)
    async with (
        connect_engine(_NOBODY) as engine,
        http_client() as http,
        trio.open_nursery() as nursery,
    ):
        info = engine.info
        limit_bytes = cache_limit_bytes(config.images.cache_gib, info.data_root)
        store = ImageStore(directory)
        cache = ImageCache(store, engine, now_ms, limit_bytes=limit_bytes)
        pulls = Pulls(
            engine,
            Registries(http, info.architecture, config.images.rules().names),
            cache,
            nursery,
            stall_timeout_s=config.images.stall_timeout_s,
            free_bytes=lambda: image_free_bytes(info.data_root),
        )
        yield ImageDesk(engine, store, cache, pulls, limit_bytes)


def _full(reference: str) -> str:
    try:
        return ImageName.read(reference).reference
    except InvalidValue as error:
        raise ImageNotFound(str(error)) from error
