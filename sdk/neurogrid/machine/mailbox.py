"""The requests of a machine's mailbox (docs/protocol.md, "By HTTPS"). Each may be repeated, and is."""

from collections.abc import Sequence
from typing import Any

from msgspec import Struct

from neurogrid_marketplace.canonical import Json

from ..errors import NotFoundError
from ..transport import Transport

CONTROL = "control"
ENVELOPES_MAX = 64
WAIT_S = 20
# Beyond its wait, an answer is due.
_ANSWER_S = 15.0


class _Opened(Struct):
    id: str
    network: str
    stream: str


class Letter(Struct, frozen=True):
    """Something said to the machine; ``envelope`` is None where the stream is over."""

    number: int
    stream: str
    envelope: dict[str, Any] | None


class _Letters(Struct):
    letters: list[Letter]
    over: bool


class _Stream(Struct):
    stream: str


class _Said(Struct):
    next_sequence: int


class Mailbox:
    """A machine's connection, as long as the coordinator keeps it.

    Args:
        node_id: the machine's peer id.

    Raises:
        ConflictError: the account has too many.
        ApiError, ConnectionFailed: it can't be opened.
    """

    def __init__(self, transport: Transport, node_id: str) -> None:
        opened = transport.call(_Opened, "POST", "/provider/mailboxes", json={"node_id": node_id})
        self.network = opened.network
        self._transport = transport
        self._path = f"/provider/mailboxes/{opened.id}"
        self._after = 0

    def take(self) -> tuple[list[Letter], bool]:
        """What was said since, waiting for it a while; and whether the mailbox is over after that.

        Raises:
            NotFoundError: it is over, and forgotten.
            ApiError, ConnectionFailed: see `Transport.call`.
        """
        params = {"after": self._after, "wait_seconds": WAIT_S}
        path = f"{self._path}/messages"
        answer = self._transport.call(
            _Letters, "GET", path, params=params, silence_s=WAIT_S + _ANSWER_S
        )
        if answer.letters:
            self._after = answer.letters[-1].number
        return answer.letters, answer.over

    def say(self, stream: str, envelopes: Sequence[dict[str, Json]]) -> None:
        """Have the coordinator hear these, once, in their order.

        Raises:
            ConflictError, NotFoundError: the mailbox, or the stream, is over.
            ApiError, ConnectionFailed: see `Transport.call`.
        """
        body = {"stream": stream, "envelopes": list(envelopes)}
        self._transport.call(_Said, "POST", f"{self._path}/messages", json=body)

    def open_stream(self) -> str:
        """A stream for a lease; its name.

        Raises:
            ConflictError: there are too many, or the mailbox is over.
            ApiError, ConnectionFailed: see `Transport.call`.
        """
        return self._transport.call(_Stream, "POST", f"{self._path}/streams").stream

    def end(self) -> None:
        """The machine leaves.

        Raises:
            ApiError, ConnectionFailed: see `Transport.call`.
        """
        try:
            self._transport.send("DELETE", self._path)
        except NotFoundError:
            return  # it is over already
