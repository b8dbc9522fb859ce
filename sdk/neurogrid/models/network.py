"""What a job may reach, and what it did."""

from msgspec import Struct


class HostUse(Struct, frozen=True, kw_only=True):
    """What a job did with one host."""

    host: str
    port: int
    connections: int = 0
    sent_bytes: int = 0
    received_bytes: int = 0


class NetworkRefusal(Struct, frozen=True, kw_only=True):
    """What a job was not let do, and how often; ``meaning`` says the reason in words."""

    host: str
    port: int
    reason: str
    meaning: str = ""
    count: int = 1


class NetworkUse(Struct, frozen=True, kw_only=True):
    """What a run did with its network, as its node says in the signed result.

    Attributes:
        hosts, refusals: the first that there were; the sums count all.
    """

    connections: int = 0
    sent_bytes: int = 0
    received_bytes: int = 0
    refused: int = 0
    hosts: list[HostUse] = []
    refusals: list[NetworkRefusal] = []


class NetworkInfo(Struct, frozen=True, kw_only=True):
    """Hosts that a job may reach; ``use``: what its last run did, once that has ended."""

    allow: list[str]
    use: NetworkUse | None = None
