"""Bytes of an image while it is pulled, from the engine's progress messages. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from neurogrid_node.container.errors import ImageError, ImageNotFound, NoDiskForImage, PullFailed

# An image has at most 127 layers; a message about more is not worth memory.
_LAYERS_MAX: Final = 1024


@dataclass(frozen=True, slots=True)
class PullProgress:
    """Compressed bytes of the layers that this machine lacks.

    Attributes:
        total_bytes: of the layers that have begun so far; grows as more begin.
    """

    done_bytes: int
    total_bytes: int

    def __str__(self) -> str:
        if not self.total_bytes:
            return "asking its registry"
        return f"{_mb(self.done_bytes)} of {_mb(self.total_bytes)} MB"


class PullMeter:
    """Adds up the messages of one pull.

    Args:
        max_bytes: compressed size above which the image does not fit here; None for no limit.
    """

    def __init__(self, *, max_bytes: int | None) -> None:
        self._max_bytes = max_bytes
        self._done: dict[str, int] = {}
        self._total: dict[str, int] = {}

    def feed(self, message: Mapping[str, Any]) -> PullProgress:
        """Take one message.

        Raises:
            ImageError: the message reports a failure, or the image is larger than ``max_bytes``.
        """
        if "error" in message:
            raise pull_error(str(message["error"]))
        layer = str(message.get("id", ""))
        detail = message.get("progressDetail") or {}
        total = detail.get("total")
        if isinstance(total, int) and total > 0 and len(self._total) < _LAYERS_MAX:
            status = message.get("status")
            self._total[layer] = total
            if status == "Downloading":
                self._done[layer] = min(total, int(detail.get("current", 0)))
            else:  # "Extracting": it has been downloaded
                self._done[layer] = total
        elif message.get("status") in ("Download complete", "Pull complete"):
            self._done[layer] = self._total.get(layer, 0)
        progress = PullProgress(sum(self._done.values()), sum(self._total.values()))
        if self._max_bytes is not None and progress.total_bytes > self._max_bytes:
            raise NoDiskForImage(
                f"the image has at least {progress.total_bytes} compressed bytes and this node "
                f"has room for {self._max_bytes}: free disk space (docker image prune), or raise "
                "the node's image limit"
            )
        return progress


def _mb(size_bytes: int) -> str:
    return f"{size_bytes / 1e6:.1f}"


def pull_error(text: str) -> ImageError:
    """The error behind an engine's or a registry's words."""
    words = text.lower()
    if "no space left" in words:
        return NoDiskForImage(f"the engine's disk is full (docker image prune): {text}")
    absent = (
        *("not found", "manifest unknown", "does not exist", "name unknown"),
        *("denied", "unauthorized", "no basic auth credentials"),
    )
    # "no such host" is the network's fault, and worth another try elsewhere.
    if any(word in words for word in absent) and "no such host" not in words:
        return ImageNotFound(
            "no such image, or no access to it: check its name and tag; to a private one, add its registry's "
            f"credentials (neurogrid submit --registry-auth): {text}"
        )
    return PullFailed(f"the registry did not deliver the image: {text}")
