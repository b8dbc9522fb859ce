"""Fetching a file from the web for a client, who may be anybody and so may its server.

Where it may be is `outbound`'s to say. Redirects are followed here, each as if it had been asked for.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from http import HTTPStatus

import httpcore

from neurogrid_marketplace.errors import InvalidValue
from neurogrid_marketplace.input_url import InputUrl

from ..outbound import Outbound, Unreachable, broke_off, header

# As many as package indexes and model hosts need (3), and some.
REDIRECTS_MAX = 8
_REDIRECTS = (301, 302, 303, 307, 308)
_CONNECT_LIMIT_S = 8.0
_SILENCE_S = 30.0
_TIMEOUTS = {
    "connect": _CONNECT_LIMIT_S,
    "read": _SILENCE_S,
    "write": _SILENCE_S,
    "pool": _SILENCE_S,
}


class FetchFailed(Exception):
    """A file that is not to be had; the message is for the client who asked for it."""


@dataclass(frozen=True, slots=True)
class Arriving:
    """A file that begins to arrive; ``announced_bytes``: how large its server says it is, if it does."""

    pieces: AsyncIterator[bytes]
    announced_bytes: int | None


class UrlFetcher:
    """Fetches files; who calls bounds their number, size and time."""

    def __init__(self, outbound: Outbound) -> None:
        self._outbound = outbound

    @asynccontextmanager
    async def open(self, url: InputUrl) -> AsyncIterator[Arriving]:
        """The file, as it comes.

        Raises:
            FetchFailed: also while it is read.
        """
        try:
            async with self._outbound.pool() as pool:
                response = await self._follow(pool, url)
                try:
                    yield Arriving(response.aiter_stream(), _length(response))
                finally:
                    await response.aclose()
        except Unreachable as error:
            raise FetchFailed(str(error)) from error
        except httpcore.TimeoutException as error:
            raise FetchFailed("its server takes too long to answer") from error
        except (httpcore.NetworkError, httpcore.ProtocolError) as error:
            raise FetchFailed(broke_off(error)) from error

    async def _follow(self, pool: httpcore.AsyncConnectionPool, url: InputUrl) -> httpcore.Response:
        """The response that has the file."""
        for _ in range(REDIRECTS_MAX + 1):
            response = await pool.handle_async_request(_request(url))
            location = header(response, b"location")
            if response.status == HTTPStatus.OK:
                if header(response, b"content-encoding").lower() not in ("", "identity"):
                    await response.aclose()
                    raise FetchFailed("its server compresses what was asked for as it is")
                return response
            await response.aclose()
            if response.status not in _REDIRECTS or not location:
                raise FetchFailed(f"its server answers {_status(response.status)}")
            try:
                url = url.redirected(location)
            except InvalidValue as error:
                raise FetchFailed(f"it leads on to {location[:200]!r}: {error}") from error
        raise FetchFailed(f"it leads on more than {REDIRECTS_MAX} times")


def _request(url: InputUrl) -> httpcore.Request:
    return httpcore.Request(
        "GET",
        httpcore.URL(
            scheme=url.scheme.encode(),
            host=url.host.encode(),
            port=url.port,
            target=url.target.encode(),
        ),
        headers={
            "Host": url.authority,
            "User-Agent": "neurogrid-coordinator",
            "Accept": "*/*",
            # Its size is bounded as it comes, and its hash is of the file.
            "Accept-Encoding": "identity",
        },
        extensions={"timeout": _TIMEOUTS},
    )


def _length(response: httpcore.Response) -> int | None:
    text = header(response, b"content-length")
    return int(text) if text.isdecimal() and len(text) <= 18 else None


def _status(status: int) -> str:
    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return str(status)
