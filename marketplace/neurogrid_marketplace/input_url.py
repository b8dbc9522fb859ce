"""The address of a file on the web that a task takes as an input: what may be fetched for a stranger. Pure."""

from dataclasses import dataclass
from urllib.parse import urljoin, urlsplit

from .errors import InvalidValue
from .network import NEVER_PORTS, is_host_name

# What servers and browsers take at least (RFC 9110, 4.1 asks for 8000; signed addresses have 1500).
MAX_URL_CHARS = 2048
# The longest that a coordinator may take to fetch what one request names, seconds: its client waits for the answer.
FETCH_MAX_S = 600
_PORTS = {"https": 443, "http": 80}
# What tells a URL from a file of one's own.
URL_SCHEMES = tuple(f"{scheme}://" for scheme in _PORTS)


@dataclass(frozen=True, slots=True)
class InputUrl:
    """Where a file is fetched from: a name and never an address, at a port that takes no other protocol.

    Attributes:
        text: as it is sent on; ASCII, without user, password and fragment.
        host: in lower case.
        target: path and query.
    """

    text: str
    scheme: str
    host: str
    port: int
    target: str

    @classmethod
    def read(cls, text: str) -> "InputUrl":
        """A client's URL.

        Raises:
            InvalidValue: says what is wrong with it.
        """
        if len(text) > MAX_URL_CHARS:
            raise InvalidValue(f"a URL has at most {MAX_URL_CHARS} characters")
        if not text.isascii() or any(letter <= " " or letter == "\x7f" for letter in text):
            raise InvalidValue("write other letters and spaces as %20 or xn-- has them")
        try:
            parts = urlsplit(text)
            port = parts.port
        except ValueError as error:
            raise InvalidValue(f"it is no URL: {error}") from error
        if parts.scheme not in _PORTS:
            raise InvalidValue("it begins with neither https:// nor http://")
        if "@" in parts.netloc or "\\" in text:
            raise InvalidValue("it has a user or a password; give it a signed address instead")
        if parts.fragment:
            raise InvalidValue("it has a fragment; a hash goes into `sha256`")
        host = (parts.hostname or "").lower()
        if not is_host_name(host):
            raise InvalidValue(f"{host[:80]!r} is no name of a host on the internet")
        if port is None:
            port = _PORTS[parts.scheme]
        if port in NEVER_PORTS or port == 0:
            raise InvalidValue(f"nothing is fetched from port {port}")
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        return cls(text, parts.scheme, host, port, target)

    @property
    def authority(self) -> str:
        """Host and port, as a request names them."""
        return self.host if self.port == _PORTS[self.scheme] else f"{self.host}:{self.port}"

    def redirected(self, location: str) -> "InputUrl":
        """Where it leads on to.

        Raises:
            InvalidValue: there, nothing is fetched for anybody.
        """
        try:
            joined = urljoin(self.text, location).partition("#")[0]
        except ValueError as error:
            raise InvalidValue(f"it is no URL: {error}") from error
        there = InputUrl.read(joined)
        if self.scheme == "https" and there.scheme != "https":
            raise InvalidValue("it leads from https:// to http://")
        return there
