"""A speech model's route: `/v1/audio/transcriptions`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from starlette.datastructures import FormData, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Message

from models.serving.bodies import BODY_S, check_announced, too_large, within
from models.serving.errors import Refused, wrong
from models.serving.frame import Load, Options, Serving, json_answer, unless_gone
from models.serving.transcripts import (
    FORMATS,
    PLAIN,
    Hearing,
    Transcript,
    Unreadable,
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
_ONE = ("model", "language", "prompt", "response_format", "temperature", "stream")
_MANY = ("timestamp_granularities[]", "timestamp_granularities")
# Small enough to stay in memory: a container's root is read-only.
MultiPartParser.spool_max_size = _FORM_BYTES_MAX


class SpeechModel(Protocol):
    """A model that writes speech down.

    Attributes:
        languages: that it knows, as "en".
    """

    languages: frozenset[str]

    def heard(self, recording: bytes, how: Hearing, check: Callable[[], None]) -> Transcript:
        """What is said in a recording, of any usual format.

        Args:
            check: is called between two pieces; raises when nobody waits any more.

        Raises:
            Unreadable: it is no recording, or too long.
        """
        ...


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
        async with self._turns.place():
            form = await _form(request)
            try:
                return await self._answer(request, form)
            finally:
                await form.close()

    async def _answer(self, request: Request, form: FormData) -> Response:
        fields = _fields(form)
        self.check_name(fields.get("model", ""))
        file = form.get("file")
        if not isinstance(file, UploadFile):
            raise wrong("file", "is missing: a recording, as a file of the form")
        how, shape, granularities = _asked(form, fields)
        if how.language and how.language not in self._model.languages:
            known = sorted(self._model.languages)
            there = ", ".join(known[:10]) + (", …" if len(known) > 10 else "")
            raise wrong("language", f"this model knows {there}")
        recording = await file.read()

        def compute(gone: Gone) -> Transcript:
            return self._model.heard(recording, how, gone.check)

        async def work() -> Response:
            try:
                said = await self._turns.computed(compute)
            except Unreadable as error:
                raise wrong("file", str(error), "invalid_audio") from error
            if shape in PLAIN:
                kind, written = PLAIN[shape]
                return Response(written(said), media_type=kind)
            if shape == "json":
                return json_answer(as_json(said))
            return json_answer(as_verbose_json(said, how.temperature, granularities))

        return await unless_gone(request, work())


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


def _asked(form: FormData, fields: dict[str, str]) -> tuple[Hearing, str, list[str]]:
    shape = fields.get("response_format") or "json"
    if shape not in FORMATS:
        raise wrong("response_format", f"one of {', '.join(FORMATS)}")
    if fields.get("stream", "false").lower() not in ("false", "0", ""):
        raise wrong("stream", "this model answers when all has been heard; leave it out")
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
    return how, shape, granularities or ["segment"]
