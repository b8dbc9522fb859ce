"""Inputs and outputs: fetched and put by hash over the coordinator's HTTP door.

The lease's bearer token opens nothing but this lease's files. Whatever arrives is hashed as it is
written and thrown away if it is not what was named; an upload that the other side already has is
not sent again. A coordinator that is away is waited for; one that says no is believed.
"""

import hashlib
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from types import MappingProxyType

import httpx
import trio

from neurogrid_marketplace.errors import SealBroken
from neurogrid_marketplace.job import InputFile, OutputFile
from neurogrid_marketplace.messages import FILES_OVER_CONNECTION
from neurogrid_marketplace.sealed_file import FileOpener

from .artifact_host import ArtifactHost, HostRefused, find_host
from .file_streams import HOST as CONNECTION
from .file_streams import FileStreams

# Where a coordinator's API has its files.
_PATH = "/api/v1/artifacts"
# Below a file's address: as part of a checkpoint, which is not an output.
CHECKPOINTS = "/checkpoint"
_CHUNK_BYTES = 256 * 1024
_CONNECT_TIMEOUT_S = 10
_STALL_TIMEOUT_S = 60
_PAUSE_FIRST_S = 0.2
_PAUSE_MAX_S = 10.0


class ArtifactError(Exception):
    """A file could not be fetched or put; the message names it and why."""


class ArtifactRefused(ArtifactError):
    """The coordinator said no, or what it sent is not what it named: asking again won't help."""


class Artifacts:
    """The files of one lease at its coordinator."""

    def __init__(
        self,
        client: httpx.AsyncClient,
        url: str,
        token: str,
        *,
        coordinator: str,
        own_hosts: Sequence[str],
        patience_s: float,
        place: str = "",
    ) -> None:
        """
        Args:
            client: shared; made by `http_client`.
            url: of the coordinator's artifacts, without a slash at the end.
            coordinator: whose they are.
            own_hosts: see `artifact_host.find_host`.
            patience_s: how long one file is tried while the coordinator does not answer.
            place: what follows a file's hash in its address: `CHECKPOINTS` for those of checkpoints.
        """
        self._client = client
        self._url = url
        self._token = token
        self._coordinator = coordinator
        self._own_hosts = own_hosts
        self._patience_s = patience_s
        self._place = place
        self._host: ArtifactHost | None = None

    async def fetch(self, wanted: InputFile, directory: Path, content_key: bytes = b"") -> None:
        """Place one input below ``directory``; a file that is there already is checked, not fetched.

        Beside ``directory`` there is a partial file meanwhile, so two fetches take turns. A sealed one is
        opened as it arrives, so that what was sealed never lies here as a whole; it is fetched anew.

        Args:
            content_key: opens it if it is sealed.

        Raises:
            ArtifactError: refused, changed, or unreachable for too long.
            SealBroken: it is what was named, and does not open.
            OSError: the disk refuses.
        """
        target = directory / wanted.path
        if not wanted.sealed and await trio.to_thread.run_sync(
            _is_file_with, target, wanted.sha256
        ):
            return
        await trio.to_thread.run_sync(make_parents, target, directory)
        # Outside: inside, its name could be another input's.
        partial = directory.with_name(directory.name + ".partial")

        async def once() -> None:
            headers = {"Accept-Encoding": "identity"}
            async with self._asked("GET", wanted.sha256, headers) as response:
                _check(response)
                opener = FileOpener(content_key) if wanted.sealed else None
                await _receive(response, wanted, partial, opener)

        await self._tried(once, f"input {wanted.path}")
        await trio.to_thread.run_sync(os.chmod, partial, 0o644)
        await trio.to_thread.run_sync(os.replace, partial, target)

    async def read_sealed(self, wanted: InputFile, content_key: bytes, max_bytes: int) -> bytes:
        """What a small sealed input holds, which never comes to lie on a disk.

        Raises:
            ArtifactError, SealBroken: as for `fetch`; or it is larger than ``max_bytes``.
        """
        if wanted.size_bytes > max_bytes:
            raise SealBroken(f"input {wanted.path} has more than {max_bytes} bytes")
        opened = bytearray()

        async def once() -> None:
            opened.clear()
            headers = {"Accept-Encoding": "identity"}
            async with self._asked("GET", wanted.sha256, headers) as response:
                _check(response)
                sealed = bytearray()
                with trio.CancelScope() as scope:
                    async for chunk in response.aiter_raw(_CHUNK_BYTES):
                        sealed += chunk
                        if len(sealed) > wanted.size_bytes:
                            scope.cancel()
                if hashlib.sha256(sealed).hexdigest() != wanted.sha256:
                    raise ArtifactRefused("does not have the hash that was named")
                opener = FileOpener(content_key)
                opened.extend(opener.feed(bytes(sealed)) + opener.finish())

        await self._tried(once, f"input {wanted.path}")
        return bytes(opened)

    async def put(self, output: OutputFile, path: Path) -> None:
        """Upload one output unless the coordinator has it.

        Raises:
            ArtifactError: refused, or unreachable for too long.
            OSError: the file cannot be read.
        """

        async def once() -> None:
            if await self._is_there(output.sha256):
                return
            async with await trio.open_file(path, "rb") as file:

                async def body() -> AsyncIterator[bytes]:
                    while chunk := await file.read(_CHUNK_BYTES):
                        yield chunk

                await self._send(output.sha256, output.size_bytes, body())

        await self._tried(once, f"output {output.path}")

    async def put_bytes(self, sha256: str, data: bytes, what: str) -> None:
        """Upload what is in memory, unless the coordinator has it.

        Args:
            what: it is, for the message of an error.

        Raises:
            ArtifactError: refused, or unreachable for too long.
        """

        async def once() -> None:
            async def body() -> AsyncIterator[bytes]:
                yield data

            if not await self._is_there(sha256):
                await self._send(sha256, len(data), body())

        await self._tried(once, what)

    async def _is_there(self, sha256: str) -> bool:
        async with self._asked("HEAD", sha256) as there:
            return there.status_code == 200

    async def _send(self, sha256: str, size_bytes: int, body: AsyncIterator[bytes]) -> None:
        headers = {"Content-Length": str(size_bytes)}
        async with self._asked("PUT", sha256, headers, body) as response:
            _check(response)

    async def _found_host(self) -> ArtifactHost:
        if self._host is None and self._url == FILES_OVER_CONNECTION:
            self._host = ArtifactHost(f"http://{CONNECTION}{_PATH}", CONNECTION, CONNECTION)
        if self._host is None:
            try:
                self._host = await find_host(self._url, self._own_hosts)
            except HostRefused as error:
                raise ArtifactRefused(str(error)) from error
            except OSError as error:
                raise ArtifactError(f"{self._url}: {error}") from error
        return self._host

    @asynccontextmanager
    async def _asked(
        self,
        method: str,
        sha256: str,
        headers: Mapping[str, str] = MappingProxyType({}),
        content: AsyncIterator[bytes] | None = None,
    ) -> AsyncIterator[httpx.Response]:
        """The answer, with its body unread: nobody makes us hold more than we want."""
        host = await self._found_host()
        request = self._client.build_request(
            method,
            f"{host.url}/{sha256}{self._place}",
            headers={"Host": host.name, "Authorization": f"Bearer {self._token}", **headers},
            content=content,
            extensions={"sni_hostname": host.server_name, "coordinator": self._coordinator},
        )
        response = await self._client.send(request, stream=True)
        try:
            yield response
        finally:
            with trio.CancelScope(shield=True):
                await response.aclose()

    async def _tried(self, once: Callable[[], Awaitable[None]], what: str) -> None:
        """Try until it works, or is refused, or nobody has answered for too long."""
        give_up_at = trio.current_time() + self._patience_s
        pause_s = _PAUSE_FIRST_S
        while True:
            try:
                await once()
                return
            except ArtifactRefused as error:
                raise ArtifactRefused(f"{what}: {error}") from error
            except (httpx.HTTPError, ArtifactError) as error:
                # It may have moved: look its name up again.
                self._host = None
                if trio.current_time() + pause_s > give_up_at:
                    raise ArtifactError(f"{what}: {error or type(error).__name__}") from error
            await trio.sleep(pause_s)
            pause_s = min(pause_s * 2, _PAUSE_MAX_S)


def http_client(
    *, stall_timeout_s: float = _STALL_TIMEOUT_S, streams: FileStreams | None = None
) -> httpx.AsyncClient:
    """The one client of the daemon: bounded connections, bounded silence, no redirects.

    Args:
        streams: to coordinators that have no address for us.
    """
    return httpx.AsyncClient(
        mounts={f"http://{CONNECTION}": streams},
        timeout=httpx.Timeout(stall_timeout_s, connect=_CONNECT_TIMEOUT_S),
        limits=httpx.Limits(max_connections=16, max_keepalive_connections=4),
        follow_redirects=False,
        trust_env=False,
    )


def _check(response: httpx.Response) -> None:
    status = response.status_code
    if 200 <= status < 300:
        return
    if status >= 500 or status == 429:
        raise ArtifactError(f"HTTP {status}")
    raise ArtifactRefused(f"HTTP {status}")


async def _receive(
    response: httpx.Response, wanted: InputFile, partial: Path, opener: FileOpener | None
) -> None:
    digest = hashlib.sha256()
    size = 0
    broken: SealBroken | None = None
    async with await trio.open_file(partial, "wb") as file:
        # Left by a cancellation from inside, httpx's generators end here and not when collected.
        with trio.CancelScope() as scope:
            async for chunk in response.aiter_raw(_CHUNK_BYTES):
                size += len(chunk)
                if size > wanted.size_bytes:
                    scope.cancel()
                    continue
                digest.update(chunk)
                if opener is None:
                    await file.write(chunk)
                elif broken is None:
                    try:
                        await file.write(opener.feed(chunk))
                    except SealBroken as error:
                        # Whose fault that is says the hash, at the end.
                        broken = error
        if opener is not None and broken is None and size == wanted.size_bytes:
            try:
                await file.write(opener.finish())
            except SealBroken as error:
                broken = error
    if size > wanted.size_bytes:
        raise ArtifactRefused("larger than was said")
    if digest.hexdigest() != wanted.sha256:
        raise ArtifactRefused("does not have the hash that was named")
    if broken is not None:
        raise SealBroken(f"input {wanted.path}: {broken}")


def make_parents(target: Path, directory: Path) -> None:
    """The folders between; readable for the job, whatever our umask is."""
    for folder in reversed(target.relative_to(directory).parents[:-1]):
        (directory / folder).mkdir(exist_ok=True)
        (directory / folder).chmod(0o755)


def _is_file_with(path: Path, sha256: str) -> bool:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest() == sha256
    except OSError:
        return False
