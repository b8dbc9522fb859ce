"""Asking a registry about an image before the engine fetches it: which bytes, how many, and for whom.

The host comes from a client, so that a connection goes to the address that was checked, only to one of the
internet unless the owner has listed the host, and no redirect is followed.
"""

from collections.abc import Callable
from typing import Final
from urllib.parse import urlsplit

import httpx
import trio

from neurogrid_marketplace.image_name import ImageName
from neurogrid_marketplace.registry_auth import RegistryAuth
from neurogrid_marketplace.registry_talk import (
    ACCEPT,
    MANIFEST_BYTES_MAX,
    Answer,
    Ask,
    NoSuchImage,
    RegistryTalk,
    RegistryTrouble,
    Talk,
    digest_of,
)

from ..files.artifact_host import HostRefused, find_host
from .errors import ImageNotFound, PullFailed
from .manifest import Manifest, platform_digest, read_manifest

_LOOK_LIMIT_S: Final = 30.0
_PIECE_BYTES: Final = 64 << 10


class RegistryUnseen(PullFailed):
    """The registry could not be asked from here; the engine may still reach it, by ways of its own."""

    code = "registry_unseen"


class Registries:
    """See the module."""

    def __init__(
        self, http: httpx.AsyncClient, architecture: str, is_listed: Callable[[str], bool]
    ) -> None:
        """
        Args:
            http: follows no redirects and trusts no environment (`files.artifacts.http_client`).
            architecture: of this machine, as registries write it (``amd64``).
            is_listed: whether the owner has named this host, which may then be on a private network.
        """
        self._http = http
        self._architecture = architecture
        self._is_listed = is_listed

    async def look(self, name: ImageName, auth: RegistryAuth | None = None) -> Manifest:
        """What the name stands for now.

        Args:
            auth: whom the registry is asked as; None: as anybody.

        Raises:
            ImageNotFound: it has no such image, or not for these.
            RegistryUnseen: it could not be asked.
            PullFailed: what it says makes no sense.
        """
        try:
            with trio.fail_after(_LOOK_LIMIT_S):
                return await self._look(name, auth)
        except NoSuchImage as error:
            raise ImageNotFound(str(error)) from error
        except (
            *(httpx.HTTPError, OSError, HostRefused, trio.TooSlowError),
            RegistryTrouble,
        ) as error:
            raise RegistryUnseen(
                f"{name.registry} could not be asked about {name.repository}: "
                f"{error or 'no answer in time'}"
            ) from error

    async def _look(self, name: ImageName, auth: RegistryAuth | None) -> Manifest:
        talk = RegistryTalk(name, auth)
        body = await self._carry(talk.manifest(name.digest or name.tag))
        digest = digest_of(body)
        inner = platform_digest(body, self._architecture)
        if inner is not None:
            body = await self._carry(talk.manifest(inner))
        return read_manifest(body, digest)

    async def _carry(self, talk: Talk) -> bytes:
        try:
            ask = next(talk)
            while True:
                ask = talk.send(await self._get(ask))
        except StopIteration as ended:
            body: bytes = ended.value
            return body

    async def _get(self, ask: Ask) -> Answer:
        parts = urlsplit(ask.url)
        own = [parts.hostname] if parts.hostname and self._is_listed(parts.netloc) else []
        host = await find_host(f"{parts.scheme}://{parts.netloc}", own)
        rest = parts.path + (f"?{parts.query}" if parts.query else "")
        headers = {"Host": host.name, "Accept": ACCEPT}
        if ask.authorization:
            headers["Authorization"] = ask.authorization
        request = self._http.build_request(
            "GET", host.url + rest, headers=headers, extensions={"sni_hostname": host.server_name}
        )
        response = await self._http.send(request, stream=True)
        try:
            challenge = response.headers.get("www-authenticate", "")
            return Answer(response.status_code, challenge, await _read(response))
        finally:
            with trio.CancelScope(shield=True):
                await response.aclose()


async def _read(response: httpx.Response) -> bytes:
    body = bytearray()
    async for piece in response.aiter_bytes(_PIECE_BYTES):
        body += piece
        if len(body) > MANIFEST_BYTES_MAX:
            raise PullFailed("the registry sends more than a manifest")
    return bytes(body)
