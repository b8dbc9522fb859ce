"""Mailboxes: what requests say and answers show."""

from typing import Annotated, Any

from msgspec import Meta, Struct

from ...services.mailboxes import ENVELOPES_MAX


class MailboxRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """A node that wants to speak by HTTPS."""

    node_id: Annotated[
        str, Meta(min_length=46, max_length=59, description="Its peer id; it signs with that key.")
    ]


class MailboxView(Struct, frozen=True):
    """A node's connection."""

    id: str
    node_id: str
    network: Annotated[str, Meta(description="The market's tag, in every envelope.")]
    stream: Annotated[str, Meta(description="Its first stream, on which it says hello.")]


class LetterView(Struct, frozen=True):
    """Something that the coordinator says to the node."""

    number: Annotated[int, Meta(description="Ask for what comes `after` it next.")]
    stream: str
    envelope: Annotated[
        dict[str, Any] | None,
        Meta(description="Signed, as docs/protocol.md has it; null where the stream is over."),
    ]


class LettersView(Struct, frozen=True):
    """What was said, in its order."""

    letters: list[LetterView]
    over: Annotated[bool, Meta(description="The mailbox is, after these: open another.")]


class SayRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """What the node says on one of its streams."""

    stream: Annotated[str, Meta(min_length=1, max_length=64)]
    envelopes: Annotated[list[dict[str, Any]], Meta(max_length=ENVELOPES_MAX)]


class SaidView(Struct, frozen=True):
    """How far a stream is."""

    stream: str
    next_sequence: Annotated[
        int, Meta(description="Of the envelope that comes next; those before were handed on.")
    ]


class StreamView(Struct, frozen=True):
    """A stream for one lease."""

    stream: str
