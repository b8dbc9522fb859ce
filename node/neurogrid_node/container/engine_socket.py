"""docker-py's way to a Unix socket, mended (docker-py 7.1).

It leaves the socket open of an engine that refuses it: a daemon asks again and again while its engine is away, and
each socket would stay until it is collected. And it keeps a pool of connections for each address, so that every
question about another container opens a new one, and the last 25 stay open.
"""

import socket
from typing import Any

from docker.transport import UnixHTTPAdapter
from docker.transport.unixconn import UnixHTTPConnection, UnixHTTPConnectionPool

# The one pool's name among an adapter's pools.
_EVERYTHING = "http+docker://localhost/"


def mend_connections() -> None:
    """Have every client of this process close what it could not connect, and share what it could."""
    UnixHTTPConnection.connect = _connect  # type: ignore[assignment,method-assign]  # the method itself is what leaks
    UnixHTTPAdapter.get_connection = _pool  # type: ignore[assignment,method-assign]  # it makes a pool for each address


def _connect(connection: UnixHTTPConnection) -> None:
    opened = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        opened.settimeout(connection.timeout)
        opened.connect(connection.unix_socket)
    except OSError:
        opened.close()
        raise
    connection.sock = opened


def _pool(
    adapter: UnixHTTPAdapter, url: bytes | str, proxies: Any = None
) -> UnixHTTPConnectionPool:
    """Whatever is asked, it is asked of the same engine."""
    with adapter.pools.lock:
        pool = adapter.pools.get(_EVERYTHING)
        if pool is None:
            pool = UnixHTTPConnectionPool(
                _EVERYTHING, adapter.socket_path, adapter.timeout, maxsize=adapter.max_pool_size
            )
            adapter.pools[_EVERYTHING] = pool
        return pool
