"""Connections that are made for strangers: to addresses of the public internet, and to what the operator allows.

A name is looked up once for each connection, its addresses are judged, and a judged one is dialled: where a
name leads a moment later does not matter.
"""

import asyncio
import functools
import socket
import ssl
from collections.abc import Awaitable, Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor

import httpcore

from neurogrid_marketplace.addresses import IpAddress, Surroundings

_LOOKUPS_AT_ONCE = 4
_LOOKUP_LIMIT_S = 10.0
# Names may have any number of addresses.
_ADDRESSES_TRIED = 4

# From a name to its addresses, as text.
Lookup = Callable[[str], Awaitable[Sequence[str]]]


@functools.cache
def _public_tls() -> ssl.SSLContext:
    """Trusts whom this machine trusts. Once for all of a process: it reads every certificate, for 0.1 s."""
    return httpcore.default_ssl_context()


class Unreachable(Exception):
    """A host that no connection is made to, or that does not answer; the message is for the client."""


class Outbound:
    """Finds where a host may be dialled, and makes pools that dial nothing else.

    Args:
        surroundings: asked before each connection, as interfaces come and go.
        lookup: tests have their own.
        lookups_at_once: in threads of its own: a resolver that does not answer holds up no database.
    """

    def __init__(
        self,
        surroundings: Callable[[], Surroundings],
        lookup: Lookup | None = None,
        tls: ssl.SSLContext | None = None,
        *,
        lookups_at_once: int = _LOOKUPS_AT_ONCE,
    ) -> None:
        self._surroundings = surroundings
        self._threads = ThreadPoolExecutor(lookups_at_once, "lookup of a stranger's host")
        self._lookup = lookup or self._look_up
        self._tls = tls or _public_tls()

    def pool(self) -> httpcore.AsyncConnectionPool:
        """For one exchange: a single connection at a time, none of which is kept."""
        return httpcore.AsyncConnectionPool(
            ssl_context=self._tls,
            max_connections=1,
            max_keepalive_connections=0,
            network_backend=_Judging(self.addresses),
        )

    async def addresses(self, host: str, port: int) -> Sequence[IpAddress]:
        """Those that may be dialled, at least one.

        Raises:
            Unreachable: there is none.
        """
        surroundings = self._surroundings()
        pinned = surroundings.pinned.get((host, port))
        if pinned is not None:
            return [pinned]
        found: Sequence[str] = ()
        try:
            async with asyncio.timeout(_LOOKUP_LIMIT_S):
                found = await self._lookup(host)
        except OSError:  # TimeoutError is one
            pass
        if not found:
            raise Unreachable(f"{host} was not found")
        good = surroundings.admitted(found)
        if not good:
            # Which one it is, is nobody's business: it may be in the operator's own network.
            raise Unreachable(f"{host} has no address of the public internet")
        return good[:_ADDRESSES_TRIED]

    async def _look_up(self, host: str) -> Sequence[str]:
        # The name is whole, so that no search list is tried.
        found = await asyncio.get_running_loop().run_in_executor(
            self._threads,
            lambda: socket.getaddrinfo(f"{host}.", None, type=socket.SOCK_STREAM),
        )
        return [str(sockaddr[0]) for *_, sockaddr in found]


class _Judging(httpcore.AsyncNetworkBackend):
    """Connects to a host's judged addresses, and never to a name."""

    def __init__(self, addresses: Callable[[str, int], Awaitable[Sequence[IpAddress]]]) -> None:
        self._addresses = addresses
        self._plain = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - as httpcore calls it
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        failure: Exception | None = None
        for address in await self._addresses(host, port):
            try:
                return await self._plain.connect_tcp(str(address), port, timeout)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
        raise Unreachable(f"{host}:{port} does not answer") from failure


def header(response: httpcore.Response, name: bytes) -> str:
    """A header of an answer; "" where it has none."""
    found = [value for key, value in response.headers if key.lower() == name]
    return found[0].decode("latin-1") if found else ""


def broke_off(error: Exception) -> str:
    """That a server broke the exchange off, in words."""
    return f"its server breaks off: {str(error)[:200] or type(error).__name__}"
