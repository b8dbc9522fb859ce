"""What a connection travels over: a TCP socket, or a circuit through a relay."""

from abc import abstractmethod

from ._libp2p import ReadWriteCloser


class Carrier(ReadWriteCloser):
    """Bytes to and from one peer, not authenticated yet; read by one task and written by one task.

    Writing to one that is over raises `ConnectionClosedError`; reading gives nothing.

    Attributes:
        remote_host: the peer's IP address, or the relay's name.
        is_relayed: whether a relay is between.
    """

    remote_host: str
    is_relayed: bool

    @abstractmethod
    def abort(self) -> None:
        """Close at once, dropping what was not sent; pending reads and writes end. Never waits."""

    @abstractmethod
    def finish(self) -> None:
        """Say that nothing more will be written; what was written still arrives."""

    async def close(self) -> None:
        """Close at once; see `abort`."""
        self.abort()

    def get_remote_address(self) -> tuple[str, int] | None:
        """The other end's address, for libp2p, which logs it."""
        return None
