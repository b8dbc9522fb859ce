"""What a model's server answers, as it goes out. Pure.

Servers speak OpenAI's own HTTP, so most of it is passed on as it came. Ours are the model's name, the id, and what it cost.
"""

import base64
import math
import re
import struct
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta, Struct

from neurogrid_marketplace.model_requests import ModelResult

from . import answers
from .answers import Bill
from .fields import given
from .requests import (
    ChatRequest,
    CompletionRequest,
    EmbeddingRequest,
    ImageRequest,
    Request,
    TranscriptionRequest,
)

# Of one event: a token, with its alternatives where those are asked for.
_EVENT_BYTES_MAX: Final = 1024 * 1024
_DATA: Final = b"data:"
_DONE: Final = b"[DONE]"
_HEARD: Final = "transcript.text.done"
_NAME: Final = re.compile(r"[a-zA-Z_][\w.\[\]]{0,99}", re.ASCII)
_LANGUAGE_CHARS: Final = 16
_PREFIXES: Final = {ChatRequest: "chatcmpl", CompletionRequest: "cmpl"}


class _Scored(Struct, frozen=True):
    """A segment, with what its model says of it."""

    start: Annotated[float, Meta(ge=0, le=1e9)]
    end: Annotated[float, Meta(ge=0, le=1e9)]
    avg_logprob: Annotated[float, Meta(ge=-1e3, le=0)]


class NoAnswer(Exception):
    """What a server says is none; says why."""


class Silent(NoAnswer):
    """It says something, and nothing of an answer."""


def wants_usage(request: Request) -> bool:
    """Whether its client wants the usage in a stream, too."""
    options = given(getattr(request, "stream_options", None), None)
    return options is not None and bool(options.include_usage)


class Events:
    """Takes a stream of server-sent events in pieces, and gives the data of each that is complete."""

    def __init__(self) -> None:
        self._rest = b""
        self._lines: list[bytes] = []
        self._bytes = 0

    def feed(self, piece: bytes) -> Iterator[bytes]:
        """The next piece.

        Raises:
            NoAnswer: an event is longer than any token.
        """
        *lines, self._rest = (self._rest + piece).split(b"\n")
        for line in lines:
            # Each line of an event counts, also one without anything in it.
            self._bytes += len(line) + 1
            self._require_short(0)
            line = line.rstrip(b"\r")
            if line.startswith(_DATA):
                self._lines.append(line[len(_DATA) :].strip())
            elif not line:
                data, self._lines, self._bytes = b"\n".join(self._lines), [], 0
                if data:
                    yield data
        self._require_short(len(self._rest))

    def _require_short(self, more_bytes: int) -> None:
        if self._bytes + more_bytes > _EVENT_BYTES_MAX:
            raise NoAnswer("an event of its answer is too long")


def is_done(data: bytes) -> bool:
    """Whether an event says that there are no more."""
    return data == _DONE


def read_object(data: bytes) -> dict[str, Any]:
    """An answer, or an event.

    Raises:
        NoAnswer: it is no object, or says what went wrong.
    """
    try:
        value = msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise NoAnswer("what it answers is no JSON") from error
    if not isinstance(value, dict):
        raise NoAnswer("what it answers is no JSON object")
    if value.get("error"):
        raise NoAnswer(error_words(value) or "it says that it failed")
    # What an answer cost, and who gave it, is ours to say.
    value.pop("neurogrid", None)
    return value


def error_words(value: object) -> str:
    """What a server says went wrong, in its words; "" where it says nothing that can be read."""
    error = value.get("error") if isinstance(value, dict) else None
    if isinstance(error, dict):
        error = error.get("message")
    return error[:500] if isinstance(error, str) else ""


def error_names(value: object) -> tuple[str, str]:
    """The field at fault, and the code, that a server's error names; "" each where it names none that is one."""
    error = value.get("error") if isinstance(value, dict) else None
    named = (error.get("param"), error.get("code")) if isinstance(error, dict) else (None, None)
    field, code = (
        name if isinstance(name, str) and _NAME.fullmatch(name) else "" for name in named
    )
    return field, code


def is_piece(request: Request, value: Mapping[str, Any]) -> bool:
    """Whether an event has something for its client; one with the usage alone has not."""
    if isinstance(request, TranscriptionRequest):
        return isinstance(value.get("type"), str)
    return bool(value.get("choices"))


def chunk(request: Request, value: dict[str, Any], bill: Bill) -> dict[str, Any]:
    """A piece of a stream as it goes out, without what it cost."""
    if isinstance(request, TranscriptionRequest):
        # OpenAI's pieces have none: it is for whoever leaves in the middle.
        rest = {name: each for name, each in value.items() if name != "usage"}
        return value if is_last(value) else rest
    out = {**value, **_named(request, value, bill)}
    if wants_usage(request):
        out["usage"] = None
    else:
        out.pop("usage", None)
    return out


def is_last(value: Mapping[str, Any]) -> bool:
    """Whether a piece says how a text has ended."""
    choices = value.get("choices")
    return value.get("type") == _HEARD or (
        isinstance(choices, list)
        and any(isinstance(choice, dict) and choice.get("finish_reason") for choice in choices)
    )


def last(request: Request, piece: dict[str, Any], bill: Bill) -> dict[str, Any]:
    """The piece that is the last one, with where it comes from."""
    told = {**piece, "neurogrid": bill.origin}
    return {**told, "usage": _usage(piece, bill)} if piece.get("type") == _HEARD else told


def usage_chunk(request: Request, value: Mapping[str, Any], bill: Bill) -> dict[str, Any]:
    """The piece with the usage alone, which is the last where it is wanted.

    Args:
        value: the server's last one that had any.
    """
    head = {name: value[name] for name in ("object", "created") if name in value}
    named = _named(request, value, bill)
    return {**head, **named, "choices": [], "usage": _usage(value, bill)}


def texts_to_embed(request: EmbeddingRequest) -> int:
    """How many texts are to be embedded; one may be sent as its tokens."""
    sent = request.input
    if isinstance(sent, str) or (sent and isinstance(sent[0], int)):
        return 1
    return len(sent)


def require_whole(request: Request, value: Mapping[str, Any]) -> None:
    """See that a whole answer has what was asked for, and no more of it: what is in it is paid.

    Raises:
        NoAnswer: it has not; says what.
    """
    match request:
        case TranscriptionRequest():
            heard(value)
        case ImageRequest():
            made = _list(value, "data")
            if len(made) > given(request.n, 1):
                raise NoAnswer(f"it made {len(made)} images, and {given(request.n, 1)} were wanted")
            pictures(value)
        case EmbeddingRequest():
            made, texts = _list(value, "data"), texts_to_embed(request)
            if len(made) != texts:
                raise NoAnswer(f"it made {len(made)} vectors of {texts} texts")
            for each in made:
                if not isinstance(each, dict) or not isinstance(each.get("embedding"), list | str):
                    raise NoAnswer("one of its vectors is none")
        case _:
            if not all(isinstance(each, dict) for each in _list(value, "choices")):
                raise NoAnswer("its answer has no choices that are any")


def whole(request: Request, value: dict[str, Any], bill: Bill) -> dict[str, Any]:
    """A whole answer as it goes out; see `require_whole` before.

    Raises:
        NoAnswer: a number of a vector is none of 32 bits.
    """
    told = {"usage": _usage(value, bill), "neurogrid": bill.origin}
    match request:
        case TranscriptionRequest():
            if given(request.response_format, "json") != "verbose_json":
                return {"text": value["text"], **told}
            return {**value, **told}
        case EmbeddingRequest() if given(request.encoding_format, "float") == "base64":
            value = {**value, "data": [_in_base64(each) for each in value["data"]]}
    return {**value, **_named(request, value, bill), **told}


def pictures(value: Mapping[str, Any]) -> list[bytes]:
    """The files of an answer with images.

    Raises:
        NoAnswer: one is not there.
    """
    found = []
    for each in _list(value, "data"):
        text = each.get("b64_json") if isinstance(each, dict) else None
        try:
            found.append(base64.b64decode(text if isinstance(text, str) else "", validate=True))
        except ValueError as error:
            raise NoAnswer("one of its images is no base64") from error
        if not found[-1]:
            raise NoAnswer("one of its images is not there")
    return found


def heard(value: Mapping[str, Any]) -> ModelResult:
    """What a transcript says.

    Raises:
        NoAnswer: it has no text, or segments that are none.
    """
    language, segments = value.get("language"), value.get("segments")
    try:
        return msgspec.convert(
            {
                "text": value.get("text"),
                "language": language[:_LANGUAGE_CHARS] if isinstance(language, str) else "",
                "segments": segments if segments is not None else (),
                "confidence": _confidence(segments),
            },
            ModelResult,
        )
    except msgspec.ValidationError as error:
        raise NoAnswer(f"its transcript cannot be read: {error}") from error


def subtitles(request: TranscriptionRequest, said: ModelResult) -> str | None:
    """The text of a transcript in a form that is no JSON; None: it is wanted as JSON.

    Raises:
        NoAnswer: it says nothing of times.
    """
    match given(request.response_format, "json"):
        case "text":
            return f"{said.text.strip()}\n"
        case "srt" | "vtt" as form:
            if said.text.strip() and not said.segments:
                raise NoAnswer("its transcript has no times")
            return (answers.srt if form == "srt" else answers.vtt)(said.segments)
    return None


def heard_events(
    request: TranscriptionRequest, value: dict[str, Any], bill: Bill
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The events of a transcript that came whole: its text, and its end, with what the whole answer has."""
    done = {"type": _HEARD, **whole(request, value, bill)}
    return {"type": "transcript.text.delta", "delta": value["text"]}, done


def _list(value: Mapping[str, Any], name: str) -> list[Any]:
    found = value.get(name)
    if not isinstance(found, list) or not found:
        raise NoAnswer(f"its answer has no {name}")
    return found


def _in_base64(item: dict[str, Any]) -> dict[str, Any]:
    """A vector as OpenAI's clients read it: 32-bit numbers, the lowest byte first."""
    vector = item["embedding"]
    if isinstance(vector, str):
        return item
    try:
        packed = struct.pack(f"<{len(vector)}f", *vector)
    except (struct.error, OverflowError) as error:
        raise NoAnswer("one of its vectors is none") from error
    return {**item, "embedding": base64.b64encode(packed).decode()}


def _confidence(segments: object) -> float | None:
    """How likely the model finds a token of its own text, by the segments' lengths; None where it does not say."""
    try:
        scored = msgspec.convert(segments, list[_Scored])
    except msgspec.ValidationError:
        return None
    length_s = sum(each.end - each.start for each in scored)
    sure = sum(math.exp(each.avg_logprob) * (each.end - each.start) for each in scored)
    return round(min(max(sure / length_s, 0.0), 1.0), 3) if length_s > 0 else None


def _named(request: Request, value: Mapping[str, Any], bill: Bill) -> dict[str, Any]:
    if isinstance(request, ImageRequest):
        return {"created": bill.created_s}
    prefix = _PREFIXES.get(type(request))
    if prefix is None:
        return {"model": bill.model.id}
    fingerprint = value.get("system_fingerprint")
    return {
        "id": f"{prefix}-{bill.id}",
        "created": bill.created_s,
        "model": bill.model.id,
        "system_fingerprint": fingerprint if isinstance(fingerprint, str) else bill.fingerprint,
    }


def _usage(value: Mapping[str, Any], bill: Bill) -> dict[str, Any]:
    usage = value.get("usage")
    if isinstance(usage, dict):
        return {**usage, **bill.cost}
    duration = value.get("duration")
    if isinstance(duration, int | float):
        return {"type": "duration", "seconds": duration, **bill.cost}
    return dict(bill.cost)
