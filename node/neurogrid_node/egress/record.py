"""What one job did with its network so far: sums, the first hosts, the first refusals. No I/O."""

from neurogrid_marketplace.network import (
    MAX_HOSTS_REPORTED,
    MAX_REFUSALS_REPORTED,
    HostUse,
    NetworkUse,
    Refusal,
    Refused,
)

_NOTHING = NetworkUse()
# What can be reported (marketplace `AskedHost`).
_HOST_CHARS_MAX = 255


class Record:
    """Counts; bounded, whatever the job does.

    Args:
        use: what an earlier life of this process had counted.
    """

    def __init__(self, use: NetworkUse = _NOTHING) -> None:
        self._connections = use.connections
        self._sent_bytes = use.sent_bytes
        self._received_bytes = use.received_bytes
        self._refused = use.refused
        self._hosts = {
            (each.host, each.port): [each.connections, each.sent_bytes, each.received_bytes]
            for each in use.hosts
        }
        self._refusals = {(each.host, each.port, each.reason): each.count for each in use.refusals}

    @property
    def moved_bytes(self) -> int:
        """Both ways together."""
        return self._sent_bytes + self._received_bytes

    @property
    def refused_count(self) -> int:
        """How often the job was refused something."""
        return self._refused

    def connected(self, host: str, port: int) -> None:
        """There is a connection to a host."""
        self._connections += 1
        self._count(host, port, 0, 1)

    def sent(self, host: str, port: int, size: int) -> None:
        """So many bytes went there."""
        self._sent_bytes += size
        self._count(host, port, 1, size)

    def received(self, host: str, port: int, size: int) -> None:
        """So many bytes came from there."""
        self._received_bytes += size
        self._count(host, port, 2, size)

    def refused(self, host: str, port: int, reason: Refused) -> bool:
        """Something was not let be; whether it is the first time, as far as that is remembered."""
        self._refused += 1
        clean = "".join(char for char in host if "!" <= char <= "~")[:_HOST_CHARS_MAX]
        key = (clean, port, reason)
        is_new = key not in self._refusals
        if is_new and len(self._refusals) >= MAX_REFUSALS_REPORTED:
            return False
        self._refusals[key] = self._refusals.get(key, 0) + 1
        return is_new

    def use(self) -> NetworkUse:
        """As it is reported."""
        return NetworkUse(
            connections=self._connections,
            sent_bytes=self._sent_bytes,
            received_bytes=self._received_bytes,
            refused=self._refused,
            hosts=tuple(HostUse(*host, *counts) for host, counts in self._hosts.items()),
            refusals=tuple(Refusal(*what, count) for what, count in self._refusals.items()),
        )

    def _count(self, host: str, port: int, which: int, by: int) -> None:
        counts = self._hosts.get((host, port))
        if counts is None:
            if len(self._hosts) >= MAX_HOSTS_REPORTED:
                return
            counts = self._hosts[host, port] = [0, 0, 0]
        counts[which] += by
