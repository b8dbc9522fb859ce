"""From a name to a connection: looked up here, its addresses checked, and exactly a checked one dialled.

The job never looks anything up, and what is dialled is the address that was judged, so a name that changes
its mind between two answers leads nowhere else.
"""

import socket
from collections.abc import Awaitable, Callable, Sequence

import trio

from neurogrid_marketplace.addresses import IpAddress, Surroundings
from neurogrid_marketplace.network import Refused

# What one job may have looked up at once: a thread each, which a resolver that does not answer holds.
_LOOKUPS_AT_ONCE = 4
_LOOKUP_LIMIT_S = 10.0
# Names may have any number of addresses.
_ADDRESSES_TRIED = 4
_CONNECT_LIMIT_S = 8.0

# From a name to its addresses, as text.
Lookup = Callable[[str, trio.CapacityLimiter], Awaitable[Sequence[str]]]


class ConnectionRefused(Exception):
    """A job's connection that is not made, and why; the text is for who reads the job's output."""

    def __init__(self, reason: Refused, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


class Dialler:
    """Dials for one job.

    Args:
        surroundings: asked before each connection, as interfaces come and go.
    """

    def __init__(self, surroundings: Callable[[], Surroundings], lookup: Lookup) -> None:
        self._surroundings = surroundings
        self._lookup = lookup
        self._lookups = trio.CapacityLimiter(_LOOKUPS_AT_ONCE)

    async def dial(self, host: str, port: int) -> trio.SocketStream:
        """A connection to a host.

        Raises:
            ConnectionRefused: there is none to be had.
        """
        last: OSError | None = None
        for address in await self._addresses(host, port):
            with trio.move_on_after(_CONNECT_LIMIT_S):
                try:
                    return await _connect(address, port)
                except OSError as error:
                    last = error
        why = "no answer" if last is None else last.strerror or type(last).__name__
        raise ConnectionRefused(Refused.UNREACHABLE, f"{host}:{port}: {why}")

    async def _addresses(self, host: str, port: int) -> list[IpAddress]:
        """Those that may be dialled, at least one."""
        surroundings = self._surroundings()
        pinned = surroundings.pinned.get((host, port))
        if pinned is not None:
            return [pinned]
        found: Sequence[str] = ()
        try:
            with trio.move_on_after(_LOOKUP_LIMIT_S):
                found = await self._lookup(host, self._lookups)
        except OSError:
            pass
        if not found:
            raise ConnectionRefused(Refused.UNRESOLVED, f"{host} was not found")
        good = surroundings.admitted(found)
        if not good:
            # Which one it is, is nobody's business: it may be in the owner's own network.
            raise ConnectionRefused(
                Refused.NOT_PUBLIC, f"{host} has no address of the public internet"
            )
        return good[:_ADDRESSES_TRIED]


async def look_up(host: str, limiter: trio.CapacityLimiter) -> Sequence[str]:
    """The machine's own resolver; the name is whole, so that no search list is tried.

    Raises:
        OSError: there is no such name, for the moment.
    """
    found = await trio.to_thread.run_sync(
        lambda: socket.getaddrinfo(f"{host}.", None, type=socket.SOCK_STREAM),
        limiter=limiter,
        abandon_on_cancel=True,
    )
    return [str(sockaddr[0]) for *_, sockaddr in found]


async def _connect(address: IpAddress, port: int) -> trio.SocketStream:
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    sock = trio.socket.socket(family, socket.SOCK_STREAM)
    try:
        await sock.connect((str(address), port))
        return trio.SocketStream(sock)
    except BaseException:
        sock.close()
        raise
