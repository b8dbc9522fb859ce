"""Which images are on this machine: asked at every demand, so remembered for a while."""

from typing import Protocol

import trio

from .errors import EngineError, EngineLost, EngineUnavailable
from .spec import ImageInfo

# A tag may move and an image be removed.
_KNOWN_S = 10.0
_KNOWN_MAX = 512
# A bid is due in a second or two: an engine that takes longer to look is not ready.
_PATIENCE_S = 1.0


class ImageSource(Protocol):
    """Where images are; a `container.Engine`."""

    async def image(self, reference: str) -> ImageInfo | None:
        """The image as it is on this machine, or None."""


class Images:
    """What is known of images."""

    def __init__(self, source: ImageSource) -> None:
        self._source = source
        self._known: dict[str, tuple[float, int]] = {}

    async def size_bytes(self, reference: str) -> int | None:
        """The size of an image that is here, 0 of one that is not; None: the engine cannot say now.

        Any coordinator may ask for anything, so a name that the engine does not understand is just
        one that is not here.
        """
        known = self._known.get(reference)
        if known is not None and trio.current_time() - known[0] < _KNOWN_S:
            return known[1]
        size_bytes = await self._look(reference)
        if size_bytes is not None:
            if len(self._known) >= _KNOWN_MAX:
                self._known.clear()
            self._known[reference] = (trio.current_time(), size_bytes)
        return size_bytes

    async def _look(self, reference: str) -> int | None:
        try:
            with trio.move_on_after(_PATIENCE_S):
                image = await self._source.image(reference)
                # An image may be empty, but it is here.
                return max(1, image.size_bytes) if image is not None else 0
        except (EngineUnavailable, EngineLost):
            return None
        except EngineError:
            return 0
        return None
