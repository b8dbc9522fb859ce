"""A job that serves: the one port of its own that its client may reach while it runs. Pure.

The port is in the job that node and client agree on by its hash, so nobody is let to any other.
"""

from dataclasses import dataclass
from typing import Annotated, Final

from msgspec import Meta

from .errors import InvalidValue
from .network import PROXY_URL

# What a node says in `Offer.access` that takes clients to their jobs' ports.
PORTS: Final = "ports"
_PROXY_PORT: Final = int(PROXY_URL.rpartition(":")[2])

# What an HTTP request may name: visible ASCII (RFC 9112, 3.2.1).
HealthPath = Annotated[str, Meta(pattern=r"^(/[!-~]{0,255})?\Z")]
StartS = Annotated[int, Meta(ge=1, le=24 * 3600)]
ServicePort = Annotated[int, Meta(ge=1, le=65_535)]


@dataclass(frozen=True, slots=True)
class Service:
    """Where a job listens.

    Attributes:
        port: TCP, at 127.0.0.1 or at all addresses of its own network.
        health: a path that it answers with less than 400 while it is well; "": it is ready once it takes
            connections, and never ended for its health.
        start_s: with a health path, how long it may take to become ready.
    """

    port: ServicePort
    health: HealthPath = ""
    start_s: StartS = 600

    def __post_init__(self) -> None:
        if self.port == _PROXY_PORT:
            raise InvalidValue(f"port {_PROXY_PORT} is the one of the node's proxy; choose another")
