"""What the owner's commands ask of the running daemon: one JSON object a line, and one line in answer. Pure."""

from typing import Annotated, Final

import msgspec
from msgspec import Meta

from ..lease.past import PAST_KEPT
from ..market.intake import PAUSE_MAX_S

# A request is a handful of words; an answer may list every lease that there was.
REQUEST_BYTES_MAX: Final = 4096
ANSWER_BYTES_MAX: Final = 4 * 1024 * 1024

PauseS = Annotated[int, Meta(ge=1, le=PAUSE_MAX_S)]
LeaseId = Annotated[str, Meta(pattern=r"^lease_[0-9a-f]{32}\Z")]


class RequestInvalid(Exception):
    """Not a request that this daemon knows; the message says what to do."""


class Refused(Exception):
    """What was asked for cannot be done; the message is for the owner."""


class _Request(
    msgspec.Struct, frozen=True, kw_only=True, tag_field="command", forbid_unknown_fields=True
):
    """All of them."""


class Pause(_Request, frozen=True, tag="pause"):
    """No new work, for so long or until `Resume`."""

    for_s: PauseS | None = None


class Resume(_Request, frozen=True, tag="resume"):
    """New work again."""


class Drain(_Request, frozen=True, tag="drain"):
    """No new work; answered at once, or (``waits``) when everything here is over.

    ``exits``: the daemon ends then.
    """

    exits: bool = False
    waits: bool = False


class Stop(_Request, frozen=True, tag="stop"):
    """End the daemon; its jobs run on."""


class Reclaim(_Request, frozen=True, tag="reclaim"):
    """The machine back from one preemptible job, or (None) from all of them."""

    lease_id: LeaseId | None = None


class Past(_Request, frozen=True, tag="past"):
    """The leases that are over, the newest first."""

    limit: Annotated[int, Meta(ge=1, le=PAST_KEPT)]


Request = Pause | Resume | Drain | Stop | Reclaim | Past

_REQUEST: msgspec.json.Decoder[Request] = msgspec.json.Decoder(Request)
_ANSWER = msgspec.json.Decoder(dict[str, object])


def read_request(line: bytes) -> Request:
    """One line as a request.

    Raises:
        RequestInvalid: it is none.
    """
    try:
        return _REQUEST.decode(line)
    except msgspec.DecodeError as error:
        raise RequestInvalid(
            f"the running node does not understand this: {error}; if neurogrid-node was upgraded "
            "since it was started, restart it"
        ) from error


def write_request(request: Request) -> bytes:
    """A request as its line."""
    return msgspec.json.encode(request) + b"\n"


def write_answer(answer: dict[str, object] | Refused) -> bytes:
    """An answer as its line."""
    document = {"refused": str(answer)} if isinstance(answer, Refused) else {"done": answer}
    return msgspec.json.encode(document) + b"\n"


def read_answer(line: bytes) -> dict[str, object]:
    """One line as an answer.

    Raises:
        Refused: the daemon has not done it.
        RequestInvalid: this is no answer.
    """
    try:
        document = _ANSWER.decode(line)
    except msgspec.DecodeError as error:
        raise RequestInvalid(f"the running node answered something else: {error}") from error
    done = document.get("done")
    if isinstance(done, dict):
        return done
    if "refused" not in document:
        raise RequestInvalid("the running node answered something else: is it another version?")
    raise Refused(str(document["refused"]))
