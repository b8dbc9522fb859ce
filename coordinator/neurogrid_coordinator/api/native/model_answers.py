"""``/models/generate/...``: ask a model and wait for its answer, as document 002 has it."""

import re
from collections.abc import Callable
from contextlib import AsyncExitStack
from functools import partial
from typing import Annotated, Any

from fastapi import Depends, FastAPI
from starlette.requests import Request
from starlette.responses import Response

from neurogrid_marketplace.model_catalogue import ModelType
from neurogrid_marketplace.model_requests import ModelInput
from neurogrid_marketplace.money import format_usdc

from ...openai.recordings import Recording
from ...services.errors import InvalidRequest
from ...services.models import ModelWanted
from ...services.native_answers import Answered, NativeAnswers, Places
from ..auth import Caller, FormCaller, Gate
from ..body import read_json
from ..envelope import success
from ..errors import Problem, error_body
from ..form import Form, flag, read_form, with_form
from ..idempotency import IDEMPOTENCY_KEY, idempotency_key
from ..leaving import while_there
from ..openapi import Schemas, errors
from ..paths import API
from ..sse import EVENT_SCHEMA, event
from ..streaming import Waits, stream_response
from .amounts import usdc_number
from .constraints import read_constraints
from .model_schemas import (
    MODEL_RULES,
    ImageAnswer,
    ImageGeneration,
    ImageParametersUsed,
    NodePreferences,
    SegmentView,
    TextAnswer,
    TextGeneration,
    TextPiece,
    TokenUsage,
    TranscriptionAnswer,
)
from .task_views import output_url

_TEXT = {
    "model": "bard-1m",
    "prompt": "Explain quantum computing in simple terms",
    "parameters": {
        "max_tokens": 150,
        "temperature": 0.7,
        "top_p": 0.9,
        "stop_sequences": ["\n\n"],
    },
    "node_preferences": {"region": "us-west-1", "min_performance_score": 90},
}
_IMAGE = {
    "model": "stable-diffusion-xl",
    "prompt": "A futuristic cityscape at sunset",
    "parameters": {
        "width": 1024,
        "height": 1024,
        "steps": 30,
        "guidance_scale": 7.5,
        "seed": 42,
    },
    "negative_prompt": "blurry, low quality",
}
# Half an hour of speech as MP3; what others take.
RECORDING_BYTES_MAX = 25 * 1024 * 1024
_END = re.compile(r"\.[A-Za-z0-9]{1,8}\Z", re.ASCII)
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
                    "stream": {"enum": ["true", "false"]},
                },
            }
        }
    },
}
_ERRORS = errors(
    "INVALID_REQUEST",
    "UNAUTHORIZED",
    "INSUFFICIENT_CREDITS",
    "QUOTA_EXCEEDED",
    "MODEL_UNAVAILABLE",
    "NODE_UNAVAILABLE",
    "IDEMPOTENCY_MISMATCH",
    "PAYLOAD_TOO_LARGE",
    "RATE_LIMITED",
    "TASK_FAILED",
    "UNAVAILABLE",
)


class _TextEvents:
    """The events of a text that is streamed: ``text`` with each piece, ``answer`` with the whole answer in the end, or ``error``.

    Args:
        answer: how the whole answer is shown.
    """

    def __init__(self, answer: Callable[[Answered], TextAnswer | TranscriptionAnswer]) -> None:
        self._answer = answer

    def event(self, piece: str | Answered) -> bytes:
        """A piece, or the answer."""
        if isinstance(piece, str):
            return event("text", TextPiece(piece))
        return event("answer", self._answer(piece))

    def error(self, error: Problem) -> bytes:
        """As other answers say it."""
        return event("error", error_body(error.code, error.message, dict(error.details))["error"])

    def end(self) -> bytes:
        """The answer was the last."""
        return b""


def add_model_answer_routes(
    app: FastAPI,
    answers: NativeAnswers,
    gate: Gate,
    schemas: Schemas,
    public_url: str,
    waits: Callable[[str], Waits],
) -> None:
    """Add the routes.

    Args:
        waits: how the replicas of a model of this name are.
        public_url: see `Settings`.
    """
    places = Places(
        lambda sha256, _: f"{public_url}{API}/artifacts/{sha256}",
        lambda task_id, path: output_url(task_id, path, public_url),
    )
    text_answer = _streamed(schemas.answer(TextAnswer, "It has answered."))
    heard_answer = _streamed(schemas.answer(TranscriptionAnswer, "It has answered."))

    @app.post(
        f"{API}/models/generate/text",
        tags=["Models"],
        summary="Have a model write a text",
        response_class=Response,
        responses={200: text_answer, **_ERRORS},
        openapi_extra={"parameters": [IDEMPOTENCY_KEY], **schemas.body(TextGeneration, _TEXT)},
    )
    async def generate_text(request: Request, caller: Annotated[Caller, Depends(gate)]) -> Response:
        """Answers when the model has: 500 where its task failed, 409 where no node took it, 503 where it did not
        end in time. Who gets no answer has no task: it is cancelled, so that asking again is safe."""
        key = idempotency_key(request)
        asked = await read_json(request, TextGeneration, MODEL_RULES)
        wanted = ModelWanted(
            model=asked.model,
            asked=ModelInput(prompt=asked.prompt, messages=asked.messages),
            parameters=asked.parameters,
            idempotency_key=key,
            **_where(asked.node_preferences),
        )
        if asked.stream:
            pieces = answers.pieces(caller.account, wanted, ModelType.TEXT)
            return await stream_response(
                request,
                pieces,
                partial(gate.ended, caller),
                waits(asked.model),
                _TextEvents(_text),
            )
        answering = answers.answer(caller.account, wanted, ModelType.TEXT)
        return success(_text(await while_there(request, answering, gate.ended(caller))))

    @app.post(
        f"{API}/models/generate/image",
        tags=["Models"],
        summary="Have a model make an image",
        response_class=Response,
        responses={200: schemas.answer(ImageAnswer, "It is made."), **_ERRORS},
        openapi_extra={"parameters": [IDEMPOTENCY_KEY], **schemas.body(ImageGeneration, _IMAGE)},
    )
    async def generate_image(
        request: Request, caller: Annotated[Caller, Depends(gate)]
    ) -> Response:
        """As for a text. The image is an output of the task, or an artifact of the account, and kept as long as any."""
        key = idempotency_key(request)
        asked = await read_json(request, ImageGeneration, MODEL_RULES)
        wanted = ModelWanted(
            model=asked.model,
            asked=ModelInput(prompt=asked.prompt, negative_prompt=asked.negative_prompt),
            parameters=asked.parameters,
            idempotency_key=key,
            **_where(asked.node_preferences),
        )
        answering = answers.answer(caller.account, wanted, ModelType.IMAGE, places=places)
        return success(_image(await while_there(request, answering, gate.ended(caller))))

    @app.post(
        f"{API}/models/transcribe",
        tags=["Models"],
        summary="Have a model write down what is said",
        response_class=Response,
        responses={200: heard_answer, **_ERRORS},
        openapi_extra={"parameters": [IDEMPOTENCY_KEY], "requestBody": _FORM},
    )
    async def transcribe(
        request: Request, sender: Annotated[FormCaller, Depends(gate.of_form)]
    ) -> Response:
        """As for a text. A task's recording, at most 25 MiB, is kept as an artifact of the account."""
        key = idempotency_key(request)
        caller = sender.caller
        async with AsyncExitStack() as stack:
            form = await stack.enter_async_context(
                read_form(request, "file", RECORDING_BYTES_MAX, sender.require_signature)
            )
            unknown = (form.fields.keys() | form.lists.keys()) - {"model", "language", "stream"}
            if unknown or "model" not in form.fields:
                raise InvalidRequest(
                    "model: a form has file, model and perhaps language and stream", "model"
                )
            streams = flag(form.fields.get("stream", "false"))
            if not isinstance(streams, bool):
                raise InvalidRequest("stream: is true or false", "stream")
            language = form.fields.get("language", "")
            wanted = ModelWanted(
                model=form.fields["model"],
                asked=ModelInput(),
                parameters={"language": language} if language else {},
                idempotency_key=key,
            )
            recording = recording_of(form)
            if streams:
                pieces = answers.pieces(caller.account, wanted, ModelType.AUDIO, recording)
                return await stream_response(
                    request,
                    with_form(stack.pop_all(), pieces),
                    partial(gate.ended, caller),
                    waits(wanted.model),
                    _TextEvents(_transcription),
                )
            answering = answers.answer(caller.account, wanted, ModelType.AUDIO, recording=recording)
            return success(
                _transcription(await while_there(request, answering, gate.ended(caller)))
            )


def _streamed(answer: dict[str, Any]) -> dict[str, Any]:
    """An answer that may come as a stream, too."""
    answer["content"]["text/event-stream"] = {"schema": EVENT_SCHEMA}
    answer["description"] += (
        ' With `stream`: events `text` (`{"text": …}`), then `answer` with the whole answer, or `error`.'
    )
    return answer


def recording_of(form: Form) -> Recording:
    """The file of a form, for as long as the form is there."""
    file = form.file
    return Recording(recording_path(file.filename or ""), file, file.size or 0)


def recording_path(name: str) -> str:
    """Where a model finds a recording: its name is its sender's, and only the end of it says anything."""
    end = _END.search(name)
    return f"recording{end[0].lower()}" if end else "recording"


def _transcription(said: Answered) -> TranscriptionAnswer:
    result = said.result
    return TranscriptionAnswer(
        **_common(said),
        transcription=result.text,
        language=result.language,
        confidence=result.confidence,
        segments=[SegmentView(each.start, each.end, each.text) for each in result.segments],
    )


def _where(preferences: NodePreferences) -> dict[str, Any]:
    least = preferences.min_performance_score
    field = "node_preferences.min_performance_score"
    return {
        "regions": (preferences.region,) if preferences.region is not None else (),
        "where": read_constraints(f"score >= {least / 100:g}", field) if least else (),
    }


def _common(said: Answered) -> dict[str, Any]:
    return {
        "id": said.id,
        "request_id": said.request_id,
        "model": said.model_id,
        "node_id": said.node_id,
        "execution_time": said.result.execution_time_s,
        "cost": usdc_number(said.cost_micro_usdc),
        "cost_usdc": format_usdc(said.cost_micro_usdc),
    }


def _text(said: Answered) -> TextAnswer:
    result = said.result
    usage = result.usage
    return TextAnswer(
        **_common(said),
        generated_text=result.text,
        finish_reason=result.finish_reason,
        usage=TokenUsage(usage.prompt_tokens, usage.completion_tokens, usage.total_tokens),
        seed=result.seed,
    )


def _image(said: Answered) -> ImageAnswer:
    result = said.result
    assert said.image_url is not None, "an answer of such a model has an image"
    return ImageAnswer(
        **_common(said),
        image_url=said.image_url,
        parameters_used=ImageParametersUsed(result.width, result.height, result.steps, result.seed),
    )
