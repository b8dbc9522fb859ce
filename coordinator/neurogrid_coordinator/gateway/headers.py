"""What of a request's head a service gets to see, and what of a response's head a client gets. Pure.

Both are anybody's. The service stands at a path of the api's own origin, so what it says must not count there: it gets no
cookie set and no worker registered, and its pages run in an origin of their own (a sandbox).
"""

from collections.abc import Iterable
from typing import Final

Header = tuple[bytes, bytes]
Headers = list[Header]

# Of one connection (RFC 9110, 7.6.1; RFC 9112), and so neither passed on nor back.
_OF_ONE_HOP: Final = frozenset(
    (
        *(b"connection", b"keep-alive", b"proxy-connection", b"proxy-authenticate"),
        *(b"proxy-authorization", b"te", b"trailer", b"transfer-encoding", b"upgrade"),
    )
)
# The client's key is ours to read, and what is said of a way here is ours to say.
_NOT_PASSED_ON: Final = frozenset((b"host", b"expect", b"authorization", b"forwarded"))
# A handshake of our own is made with the service.
_OF_A_HANDSHAKE: Final = b"sec-websocket-"
# What would count for the whole origin: cookies, stored data, workers, credentials, transport, reports.
_OF_THE_ORIGIN: Final = frozenset(
    (
        *(b"set-cookie", b"set-cookie2", b"clear-site-data", b"service-worker-allowed"),
        *(b"www-authenticate", b"strict-transport-security", b"public-key-pins", b"alt-svc"),
        *(b"report-to", b"reporting-endpoints", b"nel", b"x-request-id"),
    )
)
# Every policy of a response holds, so a service's own can only take more away. Without allow-same-origin a page has an
# origin that is nobody's: it reads nothing of the api's, and its scripts send no header of ours.
_SANDBOX: Final[Headers] = [
    (
        b"content-security-policy",
        b"sandbox allow-scripts allow-forms allow-popups allow-modals allow-downloads",
    ),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
]


def passed_on(headers: Iterable[Header], *, host: bytes, scheme: str, prefix: str) -> Headers:
    """A request's headers as the service gets them.

    Args:
        host: as the client named it.
        prefix: the path below which the service stands.
    """
    kept = end_to_end(headers)
    return [
        (b"host", host),
        *(
            (name, value)
            for name, value in kept
            if name not in _NOT_PASSED_ON
            and not name.startswith((b"x-forwarded-", _OF_A_HANDSHAKE))
        ),
        (b"x-forwarded-proto", scheme.encode()),
        (b"x-forwarded-host", host),
        (b"x-forwarded-prefix", prefix.encode()),
    ]


def framing(headers: Iterable[Header]) -> Headers:
    """How a request's body is delimited on its way to the service; nothing where it has none.

    The server has read the body as what it is. Two lengths, or a length beside chunks, are no more than one says here.
    """
    found = dict(headers)
    if b"transfer-encoding" in found:
        return [(b"transfer-encoding", b"chunked")]
    length = found.get(b"content-length", b"")
    return [(b"content-length", length)] if length.isdigit() and len(length) <= 18 else []


def passed_back(headers: Iterable[Header], *, prefix: str) -> Headers:
    """A response's headers as the client gets them."""
    kept = [
        (name, _below(value, prefix) if name == b"location" else value)
        for name, value in end_to_end(headers)
        if name not in _OF_THE_ORIGIN
    ]
    added = {name for name, _ in _SANDBOX} - {b"content-security-policy"}
    return [*((name, value) for name, value in kept if name not in added), *_SANDBOX]


def end_to_end(headers: Iterable[Header]) -> Headers:
    """Without those of one connection, of which some are named by another; names in lower case."""
    lowered = [(name.lower(), value) for name, value in headers]
    named = {
        option.strip().lower()
        for name, value in lowered
        if name == b"connection"
        for option in value.split(b",")
    }
    return [
        (name, value)
        for name, value in lowered
        if name not in _OF_ONE_HOP and name not in named and name != b"content-length"
    ]


def _below(location: bytes, prefix: str) -> bytes:
    """A redirect to a path of the service's, as a path of ours."""
    is_path = location.startswith(b"/") and not location.startswith((b"//", b"/\\"))
    return prefix.encode() + location if is_path else location
