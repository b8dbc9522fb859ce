"""The events of an answer that its server has given as a whole, for a client that wants a stream. Pure."""

from collections.abc import Iterator, Mapping
from typing import Any

from . import server_answers
from .answers import Bill
from .requests import ChatRequest, Request, TranscriptionRequest
from .stream_course import split_end


def whole_events(request: Request, value: dict[str, Any], bill: Bill) -> Iterator[dict[str, Any]]:
    """Each text in one piece, then how each has ended, then the usage where that is wanted."""
    if isinstance(request, TranscriptionRequest):
        yield from server_answers.heard_events(request, value, bill)
        return
    is_chat = isinstance(request, ChatRequest)
    kind = "chat.completion.chunk" if is_chat else "text_completion"
    head = {name: each for name, each in value.items() if name not in ("choices", "usage")}
    pieces, ends = [], []
    for choice in value["choices"]:
        piece = _piece(choice) if is_chat else choice
        text, end = split_end({**head, "object": kind, "choices": [piece]})
        pieces += [] if text is None else [text]
        ends += [] if end is None else [end]
    *others, last = [server_answers.chunk(request, each, bill) for each in (*pieces, *ends)]
    yield from others
    yield server_answers.last(request, last, bill)
    if server_answers.wants_usage(request):
        yield server_answers.usage_chunk(request, {**value, "object": kind}, bill)


def _piece(choice: Mapping[str, Any]) -> dict[str, Any]:
    """A choice of a whole chat as one of a stream."""
    said = choice.get("message")
    delta = dict(said) if isinstance(said, dict) else {}
    calls = delta.get("tool_calls")
    if isinstance(calls, list):
        # In pieces, calls are told apart by their numbers.
        delta["tool_calls"] = [
            {**call, "index": number} if isinstance(call, dict) else call
            for number, call in enumerate(calls)
        ]
    rest = {name: each for name, each in choice.items() if name != "message"}
    return {**rest, "delta": delta}
