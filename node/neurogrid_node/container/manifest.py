"""What a registry says of an image before any of it is fetched. Pure.

Source: OCI image specification 1.1 (manifest, index) and Docker's image manifest version 2, schema 2.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from .errors import PullFailed

_LAYERS_MAX: Final = 1024
_LAYER_BYTES_MAX: Final = 1 << 50


@dataclass(frozen=True, slots=True)
class Manifest:
    """One image of one platform.

    Attributes:
        digest: what its name stands for now: of the index where there is one.
        layer_bytes: compressed size by the layer's digest. How large they are unpacked, no registry says.
    """

    digest: str
    layer_bytes: Mapping[str, int]

    @property
    def compressed_bytes(self) -> int:
        """All that there is to fetch where nothing of it is here."""
        return sum(self.layer_bytes.values())


def platform_digest(body: bytes, architecture: str) -> str | None:
    """Which manifest of an index is this machine's; None: the body is no index.

    Raises:
        PullFailed: it is not what it should be, or has nothing for this machine.
    """
    document = _document(body)
    entries = document.get("manifests")
    if entries is None:
        return None
    for entry in entries if isinstance(entries, list) else ():
        platform = entry.get("platform") if isinstance(entry, dict) else None
        if isinstance(platform, dict) and (
            platform.get("os"),
            platform.get("architecture"),
        ) == ("linux", architecture):
            return str(entry.get("digest"))
    raise PullFailed(f"the image is not for this machine: it has nothing for linux/{architecture}")


def read_manifest(body: bytes, digest: str) -> Manifest:
    """
    Args:
        digest: what the name stands for.

    Raises:
        PullFailed: it is not what it should be.
    """
    layers = _document(body).get("layers")
    sizes: dict[str, int] = {}
    for layer in layers[: _LAYERS_MAX + 1] if isinstance(layers, list) else ():
        size = layer.get("size") if isinstance(layer, dict) else None
        if not isinstance(size, int) or not 0 <= size <= _LAYER_BYTES_MAX:
            raise PullFailed("the registry's manifest of the image has a layer without a size")
        sizes[str(layer.get("digest"))] = size
    if not isinstance(layers, list) or len(layers) > _LAYERS_MAX:
        raise PullFailed("the registry's manifest of the image lists no layers, or too many")
    return Manifest(digest, sizes)


def _document(body: bytes) -> dict[str, Any]:
    try:
        document = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise PullFailed(f"the registry's manifest of the image cannot be read: {error}") from error
    if not isinstance(document, dict):
        raise PullFailed("the registry's manifest of the image is no object")
    return document
