"""Inputs and outputs: fetched and put by hash over the coordinator's HTTP door.

The lease's bearer token opens nothing but this lease's files. Whatever arrives is hashed as it is
written and thrown away if it is not what was named; an upload that the other side already has is
not sent again.
"""

import hashlib
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import httpx
import trio

from neurogrid_marketplace.job import InputFile, OutputFile

_CHUNK_BYTES = 256 * 1024
_ATTEMPTS = 6
_CONNECT_TIMEOUT_S = 10
_STALL_TIMEOUT_S = 60


class ArtifactError(Exception):
    """A file could not be fetched or put; the message names it and why."""


class Artifacts:
    """The files of one lease at its coordinator."""

    def __init__(self, client: httpx.AsyncClient, url: str, token: str) -> None:
        """
        Args:
            client: shared; made by `http_client`.
            url: of the coordinator's artifacts, without a slash at the end.
        """
        self._client = client
        self._url = url.rstrip("/")
        self._headers = {"Authorization": f"Bearer {token}"}

    async def fetch(self, wanted: InputFile, directory: Path) -> None:
        """Place one input below ``directory``; a file that is there already is checked, not fetched.

        Raises:
            ArtifactError: refused, changed, or unreachable after several tries.
        """
        target = directory / wanted.path
        if await trio.to_thread.run_sync(_is_file_with, target, wanted.sha256):
            return
        await trio.to_thread.run_sync(lambda: target.parent.mkdir(parents=True, exist_ok=True))

        async def once() -> None:
            partial = target.with_name(target.name + ".partial")
            url = f"{self._url}/{wanted.sha256}"
            digest = hashlib.sha256()
            async with self._client.stream("GET", url, headers=self._headers) as response:
                _check(response, wanted.path)
                size = 0
                async with await trio.open_file(partial, "wb") as file:
                    async for chunk in response.aiter_bytes(_CHUNK_BYTES):
                        size += len(chunk)
                        if size > wanted.size_bytes:
                            raise ArtifactError(f"input {wanted.path} is larger than was said")
                        digest.update(chunk)
                        await file.write(chunk)
            if digest.hexdigest() != wanted.sha256:
                raise ArtifactError(f"input {wanted.path} does not have the hash that was named")
            await trio.to_thread.run_sync(os.chmod, partial, 0o644)
            await trio.to_thread.run_sync(os.replace, partial, target)

        await _with_retries(once, f"input {wanted.path}")

    async def put(self, output: OutputFile, path: Path) -> None:
        """Upload one output unless the coordinator has it.

        Raises:
            ArtifactError: refused, or unreachable after several tries.
        """
        url = f"{self._url}/{output.sha256}"

        async def once() -> None:
            there = await self._client.head(url, headers=self._headers)
            if there.status_code == 200:
                return
            async with await trio.open_file(path, "rb") as file:

                async def body() -> AsyncIterator[bytes]:
                    while chunk := await file.read(_CHUNK_BYTES):
                        yield chunk

                response = await self._client.put(
                    url,
                    headers={**self._headers, "Content-Length": str(output.size_bytes)},
                    content=body(),
                )
            _check(response, output.path)

        await _with_retries(once, f"output {output.path}")


def http_client() -> httpx.AsyncClient:
    """The one client of the daemon: bounded connections, bounded silence, no redirects."""
    return httpx.AsyncClient(
        timeout=httpx.Timeout(_STALL_TIMEOUT_S, connect=_CONNECT_TIMEOUT_S),
        limits=httpx.Limits(max_connections=16, max_keepalive_connections=4),
        follow_redirects=False,
        trust_env=False,
    )


class _Refused(ArtifactError):
    """The coordinator said no; asking again won't help."""


def _check(response: httpx.Response, name: str) -> None:
    if response.status_code < 300:
        return
    if response.status_code >= 500 or response.status_code == 429:
        raise ArtifactError(f"{name}: HTTP {response.status_code}")
    raise _Refused(f"{name}: HTTP {response.status_code}")


async def _with_retries(once: Callable[[], Awaitable[None]], what: str) -> None:
    pause_s = 0.2
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            await once()
            return
        except _Refused:
            raise
        except (httpx.HTTPError, ArtifactError, OSError) as error:
            if attempt == _ATTEMPTS:
                raise ArtifactError(f"{what}: {error or type(error).__name__}") from error
        await trio.sleep(pause_s)
        pause_s *= 2


def _is_file_with(path: Path, sha256: str) -> bool:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest() == sha256
    except OSError:
        return False
