"""Asking a registry for an image's manifest, as a conversation whose requests somebody else carries. Pure.

Source: distribution's HTTP API v2 and its token authentication. A node carries it to addresses that it has checked,
a client as it is.
"""

import base64
import hashlib
import json
import re
from collections.abc import Generator
from dataclasses import dataclass
from typing import Final, TypeAlias
from urllib.parse import urlencode, urlsplit

from .image_name import DOCKER_HUB, ImageName
from .registry_auth import RegistryAuth

_TYPES: Final = (
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)
ACCEPT: Final = ", ".join(_TYPES)
# What registries take at most, and engines read.
MANIFEST_BYTES_MAX: Final = 4 << 20
# Docker Hub's name is not that of its machine.
_HUB_HOST: Final = "registry-1.docker.io"
_CHALLENGE: Final = re.compile(r'([a-z]+)="([^"]*)"')
_TOKEN: Final = re.compile(r"[!-~]{1,32768}")


class NoSuchImage(Exception):
    """The registry has no such image, or not for whoever asks."""


class RegistryTrouble(Exception):
    """The registry says something else than yes or no."""


@dataclass(frozen=True, slots=True)
class Ask:
    """A request, by GET, with `ACCEPT`; ``authorization`` is its header, "" for none."""

    url: str
    authorization: str


@dataclass(frozen=True, slots=True)
class Answer:
    """What came: the status, the header ``WWW-Authenticate`` or "", and at most `MANIFEST_BYTES_MAX`."""

    status: int
    challenge: str
    body: bytes


Talk: TypeAlias = Generator[Ask, Answer, bytes]


class RegistryTalk:
    """About one repository, with the token that the registry asked for meanwhile."""

    def __init__(self, name: ImageName, auth: RegistryAuth | None) -> None:
        """
        Args:
            auth: whom the registry is asked as; None: as anybody.
        """
        self._name = name
        self._basic = _basic(auth) if auth is not None else ""
        self._authorization = ""

    def manifest(self, which: str) -> Talk:
        """The manifest, or index, of a tag or digest; of a digest, those very bytes.

        Raises:
            NoSuchImage, RegistryTrouble: see there.
        """
        name = self._name
        host = _HUB_HOST if name.registry == DOCKER_HUB else name.registry
        url = f"{_scheme(host)}://{host}/v2/{name.repository}/manifests/{which}"
        answer = yield Ask(url, self._authorization)
        if answer.status == 401 and not self._authorization:
            self._authorization = yield from self._authorized(answer.challenge)
            answer = yield Ask(url, self._authorization)
        if answer.status == 200:
            if which.startswith("sha256:") and digest_of(answer.body) != which:
                raise RegistryTrouble(f"{name.registry} sent something else than {which}")
            return answer.body
        if answer.status in (401, 403, 404):
            raise NoSuchImage(
                f"{name.registry} has no {name.repository} of this tag or digest, or not for whoever asks "
                f"(HTTP {answer.status}): check the name; to a private one, add its registry's credentials "
                "(neurogrid submit --registry-auth)"
            )
        raise RegistryTrouble(f"{name.registry} answers HTTP {answer.status}")

    def _authorized(self, challenge: str) -> Generator[Ask, Answer, str]:
        """What the registry wants to see in place of nothing."""
        if challenge.partition(" ")[0].lower() != "bearer":
            return self._basic
        given = dict(_CHALLENGE.findall(challenge))
        realm = given.get("realm", "")
        query = {"scope": given.get("scope") or f"repository:{self._name.repository}:pull"}
        if "service" in given:
            query["service"] = given["service"]
        parts = urlsplit(realm)
        if parts.query or not parts.hostname or parts.scheme != _scheme(parts.netloc):
            raise RegistryTrouble(f"{self._name.registry} sends to {realm[:200]!r} for a token")
        answer = yield Ask(f"{realm}?{urlencode(query)}", self._basic)
        return f"Bearer {_token(answer.body)}" if answer.status == 200 else self._basic


def digest_of(body: bytes) -> str:
    """As registries name what they serve."""
    return "sha256:" + hashlib.sha256(body).hexdigest()


def _scheme(host: str) -> str:
    """As engines do: without TLS on this machine alone."""
    name = host.partition(":")[0]
    return "http" if name == "localhost" or name.startswith("127.") else "https"


def _basic(auth: RegistryAuth) -> str:
    pair = f"{auth.username}:{auth.password}".encode()
    return "Basic " + base64.b64encode(pair).decode()


def _token(body: bytes) -> str:
    try:
        found = json.loads(body)
        token = found.get("token") or found.get("access_token")
    except (ValueError, AttributeError, RecursionError):
        token = None
    if not isinstance(token, str) or not _TOKEN.fullmatch(token):
        raise RegistryTrouble("the registry's token server sends no token")
    return token
