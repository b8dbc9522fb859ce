"""What an image's name says: which registry, which repository there, which bytes. Pure.

As the engine reads it (distribution's package ``reference``): the first part is a registry if it looks
like a host, and else the name is one of Docker Hub's.
"""

import re
from dataclasses import dataclass, replace
from typing import Final

from .errors import InvalidValue

DOCKER_HUB: Final = "docker.io"
# Of this project: built on each machine. Whoever had the name at Docker Hub could put a program of theirs in the
# place of one that the node trusts.
_OWN: Final = "neurogrid/"
_HUB_NAMES: Final = (DOCKER_HUB, "index.docker.io", "registry-1.docker.io")
_HOST: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?(?::[0-9]{1,5})?\Z")
_PART: Final = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_REPOSITORY: Final = re.compile(rf"{_PART}(?:/{_PART})*\Z")
_TAG: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}\Z")
_DIGEST: Final = re.compile(r"sha256:[0-9a-f]{64}\Z")
# The engine would take it for the id of an image that is here, whosever that is.
_ID: Final = re.compile(r"[0-9a-f]{64}\Z")


@dataclass(frozen=True, slots=True)
class ImageName:
    """
    Attributes:
        registry: host, with its port where one is named.
        repository: in that registry; Docker Hub's own are below ``library/``.
        tag: "" where a digest alone is named.
        digest: of its manifest, ``sha256:`` and 64 hex digits; "" where a tag is to be looked up.
    """

    registry: str
    repository: str
    tag: str
    digest: str = ""

    @classmethod
    def read(cls, reference: str) -> "ImageName":
        """
        Raises:
            InvalidValue: no engine would look for this in a registry.
        """
        rest, at, digest = reference.partition("@")
        if (at and not _DIGEST.match(digest)) or _ID.match(rest):
            raise InvalidValue(
                f"{reference[:200]!r} is no image's name: write name:tag or name@sha256:…"
            )
        first, slash, path = rest.partition("/")
        if slash and ("." in first or ":" in first or first == "localhost"):
            registry = first.lower()
        else:
            registry, path = DOCKER_HUB, rest
        path, _, tag = path.partition(":")
        if registry in _HUB_NAMES:
            registry = DOCKER_HUB
            path = path if "/" in path else f"library/{path}"
        tag = tag or ("" if digest else "latest")
        if (
            not _HOST.match(registry)
            or not _REPOSITORY.match(path)
            or (tag and not _TAG.match(tag))
        ):
            raise InvalidValue(f"{reference[:200]!r} is no image's name: write host/path:tag")
        return cls(registry, path, tag, digest)

    @property
    def full_repository(self) -> str:
        """With its registry, as the engine takes it."""
        return f"{self.registry}/{self.repository}"

    @property
    def reference(self) -> str:
        """In full; where a digest is named, that alone counts."""
        end = f"@{self.digest}" if self.digest else f":{self.tag}"
        return self.full_repository + end

    @property
    def is_own(self) -> bool:
        """Whether it names an image of this project, which comes from no registry."""
        return self.registry == DOCKER_HUB and self.repository.startswith(_OWN)

    def at(self, digest: str) -> "ImageName":
        """The same, and these bytes."""
        return replace(self, digest=digest)
