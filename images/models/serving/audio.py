"""A speech model's route: `/v1/audio/transcriptions`."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any, Protocol

from starlette.datastructures import FormData, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Message

from models.serving.bodies import BODY_S, check_announced, too_large, within
from models.serving.errors import Refused, wrong
from models.serving.frame import Load, Options, Serving, json_answer, unless_gone
from models.serving.streams import DONE, Stream, event
from models.serving.transcripts import (
    FORMATS,
    PLAIN,
    Hearing,
    Listening,
    Segment,
    Transcript,
    Unreadable,
    as_delta,
    as_done,
    as_json,
    as_verbose_json,
)
from models.serving.turns import Gone, Turns

# OpenAI's own.
FILE_BYTES_MAX = 25 * 1024 * 1024
_FORM_BYTES_MAX = FILE_BYTES_MAX + 64 * 1024
_FIELD_BYTES_MAX = 16 * 1024
_PROMPT_CHARS_MAX = 4096
_GRANULARITIES = ("segment", "word")
_FLAGS = {"": False, "0": False, "false": False, "1": True, "true": True}
# As vLLM has it: a form has no `stream_options`. The usage is in the last event in any case.
_STREAM_USAGE = ("stream_include_usage", "stream_continuous_usage_stats")
_ONE = ("model", "language", "prompt", "response_format", "temperature", "stream", *_STREAM_USAGE)
_MANY = ("timestamp_granularities[]", "timestamp_granularities")
# Small enough to stay in memory: a container's root is read-only.
MultiPartParser.spool_max_size = _FORM_BYTES_MAX


class SpeechModel(Protocol):
    """A model that writes speech down.

    Attributes:
        languages: that it knows, as "en".
    """

    languages: frozenset[str]

    def hear(self, recording: bytes, how: Hearing, check: Callable[[], None]) -> Listening:
        """Begin to hear what is said in a recording, of any usual format.

        Args:
            check: is called between two pieces; raises when nobody waits any more.

        Raises:
            Unreadable: it is no recording, or too long.
        """
        ...


@dataclass(frozen=True)
class _Asked:
    """What a form asks for.

    Attributes:
        shape: of the answer, one of `FORMATS`.
        granularities: "segment", "word": what has times.
        is_counted: each piece of a stream says what the recording counts as up to there.
    """

    how: Hearing
    shape: str
    granularities: list[str]
    streams: bool
    is_counted: bool

    def as_object(self, said: Transcript) -> dict[str, Any]:
        """The answer as JSON has it."""
        if self.shape == "json":
            return as_json(said)
        return as_verbose_json(said, self.how.temperature, self.granularities)


class AudioServing(Serving):
    """A speech model behind OpenAI's route."""

    def __init__(self, options: Options, model: SpeechModel) -> None:
        self.name, self._model = options.name, model
        self._turns = Turns(options.concurrency, options.waiting_max, options.request_s)

    async def run(self) -> None:
        """Wait: requests do the work."""
        await self._turns.stopped()

    def load(self) -> Load:
        """How many recordings it hears, and how many wait."""
        return self._turns.load()

    def routes(self) -> list[Route]:
        """Its own."""
        return [Route("/v1/audio/transcriptions", self._transcriptions, methods=["POST"])]

    async def _transcriptions(self, request: Request) -> Response:
        async with AsyncExitStack() as entered:
            await entered.enter_async_context(self._turns.place())
            form = await _form(request)
            try:
                asked, recording = await self._read(form)
            finally:
                await form.close()
            if not asked.streams:
                return await unless_gone(request, self._whole(asked, recording))
            return await unless_gone(request, self._begun(entered, asked, recording))

    async def _read(self, form: FormData) -> tuple[_Asked, bytes]:
        fields = _fields(form)
        self.check_name(fields.get("model", ""))
        file = form.get("file")
        if not isinstance(file, UploadFile):
            raise wrong("file", "is missing: a recording, as a file of the form")
        asked = _asked(form, fields)
        language = asked.how.language
        if language and language not in self._model.languages:
            known = sorted(self._model.languages)
            there = ", ".join(known[:10]) + (", …" if len(known) > 10 else "")
            raise wrong("language", f"this model knows {there}")
        return asked, await file.read()

    def _hear(self, asked: _Asked, recording: bytes, gone: Gone) -> Listening:
        try:
            return self._model.hear(recording, asked.how, gone.check)
        except Unreadable as error:
            raise wrong("file", str(error), "invalid_audio") from error

    async def _whole(self, asked: _Asked, recording: bytes) -> Response:
        said = await self._turns.computed(lambda gone: self._hear(asked, recording, gone).whole())
        if asked.shape in PLAIN:
            kind, written = PLAIN[asked.shape]
            return Response(written(said), media_type=kind)
        return json_answer(asked.as_object(said))

    async def _begun(self, entered: AsyncExitStack, asked: _Asked, recording: bytes) -> Response:
        """A stream whose first event is there: what can't be heard at all is refused before it, or not at all."""

        def compute(gone: Gone) -> Iterator[dict[str, Any]]:
            return _events(asked, self._hear(asked, recording, gone))

        events = self._turns.pieces(compute)
        # Also where the stream is left before it begins.
        entered.push_async_callback(events.aclose)
        first = await anext(events)
        return Stream(entered.pop_all(), _written(first, events))


def _events(asked: _Asked, listening: Listening) -> Iterator[dict[str, Any]]:
    """What a stream says: each piece of speech as it is found, and all of it in the end."""
    segments: list[Segment] = []
    for segment in listening.segments:
        yield as_delta(
            segment,
            listening.duration_s,
            is_first=not segments,
            is_counted=asked.is_counted,
        )
        segments.append(segment)
    said = Transcript(listening.language, listening.duration_s, segments)
    yield as_done(asked.as_object(said))


async def _written(
    first: dict[str, Any], events: AsyncGenerator[dict[str, Any], None]
) -> AsyncGenerator[bytes, None]:
    yield event(first)
    try:
        async for each in events:
            yield event(each)
    # The stream has begun: its end says what went wrong, and [DONE] is not said.
    except Refused as refused:
        yield b"data: " + refused.body() + b"\n\n"
        return
    yield DONE


async def _form(request: Request) -> FormData:
    """The form that a request has, with a bound for each of its parts.

    Raises:
        Refused: it is none, or too large.
    """
    check_announced(request, _FORM_BYTES_MAX)
    read = 0

    async def receive() -> Message:
        nonlocal read
        message = await request.receive()
        read += len(message.get("body", b""))
        if read > _FORM_BYTES_MAX:
            raise too_large(FILE_BYTES_MAX)
        return message

    if not request.headers.get("content-type", "").startswith("multipart/form-data"):
        raise Refused(
            400, "The recording comes in a form: multipart/form-data, as `file`.", param="file"
        )
    parser = MultiPartParser(
        request.headers,
        Request(request.scope, receive).stream(),
        max_files=1,
        max_fields=32,
        max_part_size=_FIELD_BYTES_MAX,
    )
    try:
        return await within(BODY_S, parser.parse())
    except MultiPartException as error:
        raise Refused(400, f"The form can't be read: {error.message}") from error


def _fields(form: FormData) -> dict[str, str]:
    """Those that there may be one of.

    Raises:
        Refused: one is none of ours, is there twice, or is a file.
    """
    fields: dict[str, str] = {}
    for name, value in form.multi_items():
        if name == "file" or name in _MANY:
            continue
        if name not in _ONE:
            raise wrong(
                name[:64], f"this server knows no such field; there are file, {', '.join(_ONE)}"
            )
        if not isinstance(value, str) or name in fields:
            raise wrong(name, "one text")
        fields[name] = value
    return fields


def _asked(form: FormData, fields: dict[str, str]) -> _Asked:
    shape = fields.get("response_format") or "json"
    if shape not in FORMATS:
        raise wrong("response_format", f"one of {', '.join(FORMATS)}")
    streams = _flag(fields, "stream")
    if streams and shape in PLAIN:
        raise wrong("stream", "goes with response_format = json or verbose_json")
    counted = [_flag(fields, name) for name in _STREAM_USAGE]
    granularities = [str(each) for name in _MANY for each in form.getlist(name)]
    if any(each not in _GRANULARITIES for each in granularities):
        raise wrong("timestamp_granularities", f"of {', '.join(_GRANULARITIES)}")
    if granularities and shape != "verbose_json":
        raise wrong("timestamp_granularities", "goes with response_format = verbose_json")
    prompt = fields.get("prompt", "")
    if len(prompt) > _PROMPT_CHARS_MAX:
        raise wrong("prompt", f"at most {_PROMPT_CHARS_MAX} characters")
    try:
        temperature = float(fields.get("temperature") or 0)
    except ValueError as error:
        raise wrong("temperature", "a number") from error
    if not 0 <= temperature <= 1:
        raise wrong("temperature", "0 to 1")
    how = Hearing(fields.get("language", ""), prompt, temperature, "word" in granularities)
    return _Asked(how, shape, granularities or ["segment"], streams, all(counted))


def _flag(fields: dict[str, str], name: str) -> bool:
    value = fields.get(name, "").lower()
    if value not in _FLAGS:
        raise wrong(name, "true or false")
    return _FLAGS[value]
