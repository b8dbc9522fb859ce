"""What a job asks its proxy for: the head of a request, read strictly, and what of it is passed on. Pure.

HTTP is read and written by h11 on both sides, so that a message that two readers could understand differently
(request smuggling) is never passed on as it came.
"""

import re
from dataclasses import dataclass

import h11

from neurogrid_marketplace.network import Refused, is_host_name

from .dialling import ConnectionRefused

# A request's line and headers; a browser's cookies are the longest that come.
HEAD_BYTES_MAX = 16 * 1024
_AUTHORITY = re.compile(rb"(?P<host>[^:/?#@\s\[\]]+):(?P<port>[0-9]{1,5})")
_ABSOLUTE = re.compile(
    rb"http://(?P<host>[^:/?#@\s\[\]]+)(:(?P<port>[0-9]{1,5}))?(?P<path>[/?][^#\s]*)?",
    re.IGNORECASE,
)
_HTTP_PORT = 80
# Of one connection alone (RFC 9110 7.6.1), or about the proxy itself.
_HOP_BY_HOP = frozenset(
    (
        *(b"connection", b"keep-alive", b"proxy-connection", b"proxy-authorization"),
        *(b"proxy-authenticate", b"te", b"trailer", b"transfer-encoding", b"upgrade"),
    )
)
_CLOSE = (b"Connection", b"close")


@dataclass(frozen=True, slots=True)
class Target:
    """Where a request wants to go.

    Attributes:
        path: of a plain request, as its host is asked for it; b"" for a tunnel.
    """

    host: str
    port: int
    path: bytes

    @property
    def is_tunnel(self) -> bool:
        return not self.path


def target_of(request: h11.Request) -> Target:
    """The target of a request.

    Raises:
        ConnectionRefused: it has none that a proxy takes.
    """
    is_tunnel = request.method == b"CONNECT"
    found = (_AUTHORITY if is_tunnel else _ABSOLUTE).fullmatch(request.target)
    if found is None:
        # Also a tunnel to "[::1]:443", whose brackets no name has.
        kind = Refused.ADDRESS if b"[" in request.target else Refused.BAD_REQUEST
        raise ConnectionRefused(kind, f"no target of a proxy: {_shown(request.target)}")
    port = int(found["port"] or _HTTP_PORT)
    host = found["host"].decode("ascii", "replace").lower().removesuffix(".")
    if not 0 < port <= 65_535:
        raise ConnectionRefused(Refused.BAD_REQUEST, f"no port: {port}")
    if not is_host_name(host):
        # What ends in a number is an address to somebody: 127.1, 2130706433, 0x7f.1.
        is_address = host.rpartition(".")[2][:1].isdigit()
        kind = Refused.ADDRESS if is_address else Refused.BAD_REQUEST
        raise ConnectionRefused(kind, f"{_shown(found['host'])} is no name of a host")
    if is_tunnel:
        _refuse_body(request)
        return Target(host, port, b"")
    path = found["path"] or b"/"
    return Target(host, port, path if path.startswith(b"/") else b"/" + path)


def passed_on(request: h11.Request, target: Target) -> h11.Request:
    """A plain request as its host gets it.

    Raises:
        ConnectionRefused: it says in two ways how long it is.
    """
    names = {name for name, _ in request.headers}
    headers = [item for item in _end_to_end(request) if item[0].lower() != b"host"]
    if b"transfer-encoding" in names:
        if b"content-length" in names:
            raise ConnectionRefused(Refused.BAD_REQUEST, "a body with two lengths")
        headers.append((b"Transfer-Encoding", b"chunked"))
    host = target.host if target.port == _HTTP_PORT else f"{target.host}:{target.port}"
    return h11.Request(
        method=request.method,
        target=target.path,
        headers=[(b"Host", host.encode()), *headers, _CLOSE],
    )


def passed_back(response: h11.Response) -> h11.Response:
    """A response as the job gets it; h11 frames its body anew."""
    return h11.Response(
        status_code=response.status_code,
        reason=response.reason,
        headers=[*_end_to_end(response), _CLOSE],
    )


def _end_to_end(message: h11.Request | h11.Response) -> list[tuple[bytes, bytes]]:
    """What is not about one connection alone."""
    named = {
        name.strip().lower()
        for header, value in message.headers
        if header == b"connection"
        for name in value.split(b",")
    }
    return [
        (name, value)
        for name, value in message.headers.raw_items()
        if name.lower() not in _HOP_BY_HOP | named
    ]


def _refuse_body(request: h11.Request) -> None:
    for name, value in request.headers:
        if name == b"transfer-encoding" or (name == b"content-length" and value != b"0"):
            raise ConnectionRefused(Refused.BAD_REQUEST, "a tunnel is asked for without a body")


def _shown(text: bytes) -> str:
    return repr(text[:80].decode("ascii", "replace"))
