"""What a model's server has said as a whole, as its client gets it: the answer, or the events of a stream of it."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from ..openai import server_answers
from ..openai.answers import Bill
from ..openai.fields import given
from ..openai.requests import ImageRequest, Request, TranscriptionRequest
from ..openai.whole_events import whole_events
from ..store.accounts import Account
from .artifacts import Artifacts, Upload
from .model_questions import TEXT, Answer, Asked, bill_headers

_REPLAYED: Final = {"Idempotent-Replayed": "true"}
_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class Said:
    """What a server has said, all of it.

    Attributes:
        value: of its JSON.
        took_ms: from the request to the whole answer, when it was computed.
        is_repeat: whether that was for an earlier request with the same key.
    """

    value: dict[str, Any]
    bill: Bill
    took_ms: int
    is_repeat: bool = False


def require_answer(request: Request, value: dict[str, Any], bill: Bill) -> None:
    """See that an answer can be made of what was said; nothing else of it may fail once it is billed.

    Raises:
        NoAnswer: it cannot.
    """
    if isinstance(request, TranscriptionRequest):
        server_answers.subtitles(request, server_answers.heard(value))
    server_answers.whole(request, value, bill)


def answer_of(request: Request, said: Said) -> Answer:
    """The answer."""
    headers = {**bill_headers(said.bill), **(_REPLAYED if said.is_repeat else {})}
    if isinstance(request, TranscriptionRequest):
        words = server_answers.subtitles(request, server_answers.heard(said.value))
        if words is not None:
            return Answer(words.encode("utf-8", "replace"), TEXT, headers, said.took_ms)
    content = _encode(server_answers.whole(request, said.value, said.bill))
    return Answer(content, headers=headers, took_ms=said.took_ms)


def events_of_whole(request: Request, said: Said) -> Iterator[bytes]:
    """The JSON of each event of a stream of it; the last says what it cost."""
    for event in whole_events(request, said.value, said.bill):
        yield _encode(event)


async def with_links(
    artifacts: Artifacts, account: Account, asked: Asked, value: dict[str, Any]
) -> dict[str, Any]:
    """What was said, with its images as files of the account, where its client wants their addresses.

    Raises:
        others: see `Artifacts.put`.
    """
    request, link = asked.request, asked.link
    if (
        not isinstance(request, ImageRequest)
        or link is None
        or given(request.response_format, "b64_json") != "url"
    ):
        return value
    name = f"image.{given(request.output_format, 'png')}"
    data = []
    for item, file in zip(value["data"], server_answers.pictures(value), strict=True):
        stored = await artifacts.put(account, Upload(None, once(file), len(file)))
        rest = {key: each for key, each in item.items() if key != "b64_json"}
        data.append({**rest, "url": link(stored.sha256, name)})
    return {**value, "data": data}


async def once(data: bytes) -> AsyncIterator[bytes]:
    """Bytes that are all there, as an upload has them."""
    yield data
