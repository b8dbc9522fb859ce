"""The name that a TLS client asks for, in the first bytes of its connection (RFC 8446 4.1.2, RFC 6066 3). Pure."""

from dataclasses import dataclass

# As long as a key share of each kind makes it is 5 KiB; a record has at most 16 KiB.
MAX_HELLO_BYTES = 32 * 1024
_RECORD_HEADER = 5
_RECORD_BYTES_MAX = 1 << 14
_HANDSHAKE = 22
_CLIENT_HELLO = 1
_SERVER_NAME = 0
_HOST_NAME = 0
# Version and random.
_FIXED_BYTES = 2 + 32
# The alert that says so (RFC 6066 3), fatal.
UNRECOGNIZED_NAME = bytes((21, 3, 3, 0, 2, 2, 112))


class NotTls(ValueError):
    """These bytes do not begin a TLS connection."""


@dataclass(frozen=True, slots=True)
class ClientHello:
    """What was found; ``server_name``: in lower case, "" where the client names none."""

    server_name: str


def read_client_hello(data: bytes) -> ClientHello | None:
    """The hello that a connection begins with; None: it is not all there yet.

    Raises:
        NotTls: it begins with something else, or with more than `MAX_HELLO_BYTES`.
    """
    message = bytearray()
    at = 0
    while True:
        header = data[at : at + _RECORD_HEADER]
        _check_record(header)
        if len(header) < _RECORD_HEADER:
            _check_length(data)
            return None
        length = int.from_bytes(header[3:5])
        if not 0 < length <= _RECORD_BYTES_MAX:
            raise NotTls("a record of no length that there is")
        body = data[at + _RECORD_HEADER : at + _RECORD_HEADER + length]
        message += body
        if message and message[0] != _CLIENT_HELLO:
            raise NotTls("no hello of a client")
        if len(message) >= 4 and len(message) >= 4 + int.from_bytes(message[1:4]):
            return ClientHello(_server_name(bytes(message[4 : 4 + int.from_bytes(message[1:4])])))
        if len(body) < length:
            _check_length(data)
            return None
        at += _RECORD_HEADER + length


def _check_length(data: bytes) -> None:
    if len(data) >= MAX_HELLO_BYTES:
        raise NotTls("a hello longer than any")


def _check_record(header: bytes) -> None:
    """As far as it is there."""
    if header[:1] not in (b"", bytes((_HANDSHAKE,))) or header[1:2] not in (b"", b"\x03"):
        raise NotTls("no record of a handshake")


class _Fields:
    """The fields of a message, one after the other."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def take(self, length: int) -> bytes:
        taken, self._data = self._data[:length], self._data[length:]
        if len(taken) < length:
            raise NotTls("a hello that is cut off")
        return taken

    def vector(self, length_bytes: int) -> bytes:
        """A field that says its own length first."""
        return self.take(int.from_bytes(self.take(length_bytes)))

    def __bool__(self) -> bool:
        return bool(self._data)


def _server_name(hello: bytes) -> str:
    fields = _Fields(hello)
    fields.take(_FIXED_BYTES)
    fields.vector(1)  # session
    fields.vector(2)  # cipher suites
    fields.vector(1)  # compression
    if not fields:
        return ""
    extensions = _Fields(fields.vector(2))
    found: list[str] = []
    while extensions:
        kind = int.from_bytes(extensions.take(2))
        content = extensions.vector(2)
        if kind == _SERVER_NAME:
            names = _Fields(_Fields(content).vector(2))
            while names:
                name_kind = names.take(1)[0]
                name = names.vector(2)
                if name_kind == _HOST_NAME:
                    found.append(name.decode("ascii", "replace").lower())
    if len(found) > 1:
        # A server may take another one of them than we do.
        raise NotTls("a hello with two names")
    return found[0] if found else ""
