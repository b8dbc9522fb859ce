"""The images of a cluster: those that its machines tell of, and those that a registry has told us of.

A pod names an image by its digest, so that an image's id is its digest here. What lies on a machine under no
digest (one that was built or loaded there) cannot be named, and does not run.
"""

import re
from collections import OrderedDict
from collections.abc import Iterable
from typing import Final

from neurogrid_marketplace.errors import InvalidValue
from neurogrid_marketplace.image_name import DOCKER_HUB, ImageName
from neurogrid_marketplace.offer import MAX_IMAGES
from neurogrid_node.container.errors import ImageNotFound, PullFailed
from neurogrid_node.container.spec import ImageInfo
from neurogrid_node.kube.cluster import Cluster
from neurogrid_node.kube.objects import Node

# An image's name that an offer can carry (marketplace `ImageRef`).
_IMAGE: Final = re.compile(r"[a-z0-9][A-Za-z0-9._:/@-]{0,511}\Z", re.ASCII)
# Names that were resolved; a forgotten one is resolved anew.
_RESOLVED_MAX: Final = 4096


def pinned_image(reference: str, digest: str, size_bytes: int) -> ImageInfo:
    """As pods are made from it. Which variables and volumes it has, no API tells: those that no image may set
    are always emptied, and a machine that gives jobs an image's volumes is not offered (trial.py).
    """
    return ImageInfo(reference=reference, image_id=digest, digest=digest, size_bytes=size_bytes)


def images_by_name(nodes: Iterable[Node]) -> dict[str, ImageInfo]:
    """What machines have, by every name in full. A name that stands for different bytes on two machines is
    nobody's: whoever asks for it asks its registry.
    """
    found: dict[str, ImageInfo] = {}
    doubtful: set[str] = set()
    for node in nodes:
        for image in node.status.images or ():
            names = [name for text in image.names or () if (name := _read(text)) is not None]
            digests = {name.full_repository: name.digest for name in names if name.digest}
            for name in names:
                digest = name.digest or digests.get(name.full_repository)
                if not digest:
                    continue
                info = pinned_image(name.reference, digest, image.size_bytes)
                if found.setdefault(name.reference, info).image_id != digest:
                    doubtful.add(name.reference)
    return {name: info for name, info in found.items() if name not in doubtful}


def _read(text: str) -> ImageName | None:
    try:
        return ImageName.read(text)
    except InvalidValue:
        return None


def _as_written(name: ImageName) -> str:
    """As people write it and Docker's engine tells it: the usual registry goes without saying."""
    if name.registry != DOCKER_HUB:
        return name.reference
    return name.reference.removeprefix(f"{DOCKER_HUB}/").removeprefix("library/")


def _full(text: str) -> str:
    name = _read(text)
    return name.reference if name is not None else ""


class ClusterImages:
    """See the module."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._resolved: OrderedDict[str, ImageInfo] = OrderedDict()

    async def find(self, reference: str) -> ImageInfo | None:
        """By what a name stands for on the machines; else by what its registry has said.

        Raises:
            EngineError: nobody can say now.
        """
        name = _full(reference)
        if not name:
            return None
        known = images_by_name(await self._cluster.nodes()).get(name) or self._resolved.get(name)
        if known is None:
            return None
        return pinned_image(reference, known.image_id, known.size_bytes)

    async def names(self) -> tuple[str, ...]:
        """Of the images that some machine has."""
        found = images_by_name(await self._cluster.nodes())
        names = (_as_written(ImageName.read(name)) for name in sorted(found))
        return tuple(filter(_IMAGE.match, names))[:MAX_IMAGES]

    async def ids(self) -> frozenset[str]:
        """Their digests."""
        found = images_by_name(await self._cluster.nodes())
        return frozenset(info.image_id for info in found.values())

    def pinned(self, reference: str) -> ImageInfo:
        """An image that a registry has, by its digest.

        Raises:
            ImageNotFound: that is no image's name.
            PullFailed: it has no digest: its registry could not be asked from here.
        """
        try:
            name = ImageName.read(reference)
        except InvalidValue as error:
            raise ImageNotFound(str(error)) from error
        if not name.digest:
            raise PullFailed(
                f"{reference}: a cluster is given images by their digest, and the registry could not be asked "
                "for it from here"
            )
        info = pinned_image(reference, name.digest, 0)
        self._keep(name.reference, info)
        return info

    def name(self, image_id: str, name: ImageName) -> None:
        """An image goes by this name, too."""
        self._keep(name.reference, pinned_image(name.reference, image_id, 0))

    def forget(self, name: str) -> None:
        self._resolved.pop(_full(name), None)

    def _keep(self, name: str, info: ImageInfo) -> None:
        self._resolved[name] = info
        self._resolved.move_to_end(name)
        while len(self._resolved) > _RESOLVED_MAX:
            self._resolved.popitem(last=False)
