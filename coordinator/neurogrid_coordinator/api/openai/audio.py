"""``/v1/audio/transcriptions`` and ``/translations``: forms with a recording."""

from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Annotated, Any

import msgspec
from fastapi import Depends, FastAPI
from starlette.requests import Request
from starlette.responses import Response

from ...openai.fields import Unsupported, given
from ...openai.recordings import FORMATS, HEAD_BYTES, is_recording
from ...openai.requests import TranscriptionRequest
from ...services.errors import InvalidRequest
from ...services.inference import Inference
from ...services.model_questions import Asked
from ..auth import Caller, FormCaller, Gate
from ..body import from_json
from ..form import Form, flag, read_form, with_form
from ..idempotency import IDEMPOTENCY_KEY, idempotency_key
from ..leaving import while_there
from ..native.model_answers import RECORDING_BYTES_MAX, recording_of
from ..openapi import Schemas
from ..streaming import Waits
from .errors import OpenAiErrorAnswer, refusals
from .models import NAME
from .schemas import OpenAiTranscription
from .streaming import openai_stream
from .texts import REFUSED, RULES

# Fields that are no text; a form has nothing else.
_JSON = frozenset({"temperature", "provider"})
# What is written once all has been heard.
_WHOLE = frozenset({"text", "srt", "vtt"})
_RULES = {**RULES, "language": 'two or three letters, as "en", or empty: found out'}
_FORM: dict[str, Any] = {
    "required": True,
    "content": {
        "multipart/form-data": {
            "schema": {
                "type": "object",
                "required": ["file", "model"],
                "additionalProperties": False,
                "properties": {
                    "file": {"type": "string", "format": "binary"},
                    "model": {"type": "string", "maxLength": 128},
                    "language": {"type": "string", "pattern": "^([a-z]{2,3})?$"},
                    "response_format": {"enum": ["json", "text", "srt", "verbose_json", "vtt"]},
                    "stream": {"enum": ["true", "false"]},
                    "temperature": {"const": "0"},
                    "timestamp_granularities[]": {"enum": ["segment"]},
                    "provider": {
                        "type": "string",
                        "description": "JSON, as in the other requests.",
                    },
                },
            }
        }
    },
}


def add_openai_audio_routes(
    app: FastAPI,
    inference: Inference,
    gate: Gate,
    schemas: Schemas,
    waits: Callable[[str], Waits],
) -> None:
    """Add the routes.

    Args:
        waits: how the replicas of a model of this name are.
    """

    @app.post(
        "/v1/audio/transcriptions",
        tags=[NAME],
        summary="Write down what is said",
        response_class=Response,
        responses={
            200: _with_text(schemas.bare(OpenAiTranscription, "What was said.")),
            **refusals(schemas, *REFUSED),
        },
        openapi_extra={"parameters": [IDEMPOTENCY_KEY], "requestBody": _FORM},
    )
    async def transcribe(
        request: Request, sender: Annotated[FormCaller, Depends(gate.of_form)]
    ) -> Response:
        """A form with `file`, at most 25 MiB: flac, m4a, mp3, mp4, mpeg, mpga, oga, ogg, wav or webm."""
        key = idempotency_key(request)
        caller = sender.caller
        async with AsyncExitStack() as stack:
            form = await stack.enter_async_context(
                read_form(request, "file", RECORDING_BYTES_MAX, sender.require_signature)
            )
            wanted = _wanted(form)
            await _require_recording(form)
            asked = Asked(wanted, recording_of(form), idempotency_key=key)
            inference.check(asked)
            if given(wanted.stream, False):
                pieces = with_form(stack.pop_all(), inference.pieces(caller.account, asked))
                return await openai_stream(
                    request, pieces, lambda: gate.ended(caller), waits(wanted.model)
                )
            answer = await while_there(
                request, inference.answer(caller.account, asked), gate.ended(caller)
            )
        return Response(answer.content, media_type=answer.media_type, headers=dict(answer.headers))

    @app.post(
        "/v1/audio/translations",
        tags=[NAME],
        summary="Translate what is said: no model here does",
        response_class=Response,
        responses={
            400: schemas.bare(OpenAiErrorAnswer, "Always."),
            **refusals(schemas, 401, 403, 429, 503),
        },
    )
    async def translate(_: Annotated[Caller, Depends(gate)]) -> Response:
        """Ask `/v1/audio/transcriptions`, and a model of text for a translation."""
        raise Unsupported(
            "translations: no model here translates speech; send the recording to /v1/audio/transcriptions, and its "
            "text to /v1/chat/completions",
            "",
        )


def _wanted(form: Form) -> TranscriptionRequest:
    """The words of a form.

    Raises:
        InvalidRequest: there is one that OpenAI's API does not have, or a value breaks a rule.
    """
    sent: dict[str, Any] = {**form.fields, **form.lists}
    for name in _JSON & form.fields.keys():
        sent[name] = _json(form.fields[name], name)
    if "stream" in form.fields:
        sent["stream"] = flag(form.fields["stream"])
    wanted = from_json(
        msgspec.json.encode(sent),
        lambda data: msgspec.json.decode(data, type=TranscriptionRequest),
        TranscriptionRequest,
        _RULES,
    )
    form_of_answer = given(wanted.response_format, "json")
    if given(wanted.stream, False) and form_of_answer in _WHOLE:
        raise Unsupported(
            f"stream: goes with response_format json or verbose_json, and not with {form_of_answer}",
            "stream",
            value=True,
        )
    return wanted


def _json(text: str, name: str) -> Any:
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError) as error:
        raise InvalidRequest(f"{name}: is not JSON", name) from error


async def _require_recording(form: Form) -> None:
    """See that the file may be one, before a node is paid for finding out that it is none."""
    await form.file.seek(0)
    if not is_recording(await form.file.read(HEAD_BYTES)):
        raise InvalidRequest(
            f"file: Invalid file format. Supported formats: {list(FORMATS)}", "file"
        )


def _with_text(answer: dict[str, Any]) -> dict[str, Any]:
    answer["content"]["text/plain"] = {"schema": {"type": "string"}}
    return answer
