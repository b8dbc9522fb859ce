"""``/models/generate/...``: ask a model and wait for its answer, as document 002 has it."""

import re
from collections.abc import Callable
from typing import Annotated, Any

from fastapi import Depends, FastAPI
from starlette.requests import Request
from starlette.responses import Response

from neurogrid_marketplace.model_catalogue import ModelType
from neurogrid_marketplace.model_requests import ModelInput, ModelResult
from neurogrid_marketplace.money import format_usdc

from ...services.artifacts import Artifacts, Upload
from ...services.errors import InvalidRequest
from ...services.models import FileGiven, Models, ModelWanted, find_model
from ...store.accounts import Account
from ...store.tasks import TaskRow
from ..auth import Caller, FormCaller, Gate
from ..body import read_json
from ..envelope import success
from ..errors import native
from ..form import read_form
from ..idempotency import IDEMPOTENCY_KEY, idempotency_key
from ..leaving import while_there
from ..openapi import Schemas, errors
from ..paths import API
from ..unanswered import unanswered
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


def add_model_answer_routes(
    app: FastAPI,
    models: Models,
    artifacts: Artifacts,
    gate: Gate,
    schemas: Schemas,
    public_url: str,
) -> None:
    """Add the routes.

    Args:
        public_url: see `Settings`.
    """

    async def answered(
        request: Request,
        account: Account,
        wanted: ModelWanted,
        model_type: ModelType,
        view: Callable[[TaskRow, ModelResult], Any | None],
    ) -> Response:
        asked = models.submission(wanted, model_type)
        run = await while_there(request, models.run(account, asked))
        shown = None if run.result is None else view(run.row, run.result)
        return native(unanswered(run.row)) if shown is None else success(shown)

    @app.post(
        f"{API}/models/generate/text",
        tags=["Models"],
        summary="Have a model write a text",
        response_class=Response,
        responses={200: schemas.answer(TextAnswer, "It has answered."), **_ERRORS},
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
            **_places(asked.node_preferences),
        )
        return await answered(request, caller.account, wanted, ModelType.TEXT, _text)

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
        """As for a text. The image is an output of the task, and kept as long as any."""
        key = idempotency_key(request)
        asked = await read_json(request, ImageGeneration, MODEL_RULES)
        wanted = ModelWanted(
            model=asked.model,
            asked=ModelInput(prompt=asked.prompt, negative_prompt=asked.negative_prompt),
            parameters=asked.parameters,
            idempotency_key=key,
            **_places(asked.node_preferences),
        )

        def image(row: TaskRow, result: ModelResult) -> ImageAnswer | None:
            return _image(row, result, public_url)

        return await answered(request, caller.account, wanted, ModelType.IMAGE, image)

    @app.post(
        f"{API}/models/transcribe",
        tags=["Models"],
        summary="Have a model write down what is said",
        response_class=Response,
        responses={200: schemas.answer(TranscriptionAnswer, "It has answered."), **_ERRORS},
        openapi_extra={"parameters": [IDEMPOTENCY_KEY], "requestBody": _FORM},
    )
    async def transcribe(
        request: Request, sender: Annotated[FormCaller, Depends(gate.of_form)]
    ) -> Response:
        """As for a text. The recording, at most 25 MiB, is kept as an artifact of the account."""
        key = idempotency_key(request)
        caller = sender.caller
        async with read_form(
            request, "file", RECORDING_BYTES_MAX, sender.require_signature
        ) as form:
            unknown = (form.fields.keys() | form.lists.keys()) - {"model", "language"}
            if unknown or "model" not in form.fields:
                raise InvalidRequest("model: a form has file, model and perhaps language", "model")
            model = find_model(models.settings, form.fields["model"], ModelType.AUDIO)
            stored = await artifacts.put(
                caller.account, Upload(None, form.pieces(), form.file.size)
            )
            path = recording_path(form.file.filename or "")
        language = form.fields.get("language", "")
        wanted = ModelWanted(
            model=model.id,
            asked=ModelInput(file=path),
            parameters={"language": language} if language else {},
            files=(FileGiven(path, stored.sha256),),
            idempotency_key=key,
        )
        return await answered(request, caller.account, wanted, ModelType.AUDIO, _transcription)


def recording_path(name: str) -> str:
    """Where a model finds a recording: its name is its sender's, and only the end of it says anything."""
    end = _END.search(name)
    return f"recording{end[0].lower()}" if end else "recording"


def _transcription(row: TaskRow, result: ModelResult) -> TranscriptionAnswer:
    return TranscriptionAnswer(
        **_common(row, result),
        transcription=result.text,
        language=result.language,
        confidence=result.confidence,
        segments=[SegmentView(each.start, each.end, each.text) for each in result.segments],
    )


def _places(preferences: NodePreferences) -> dict[str, Any]:
    least = preferences.min_performance_score
    field = "node_preferences.min_performance_score"
    return {
        "regions": (preferences.region,) if preferences.region is not None else (),
        "where": read_constraints(f"score >= {least / 100:g}", field) if least else (),
    }


def _common(row: TaskRow, result: ModelResult) -> dict[str, Any]:
    return {
        "id": row.id,
        "model": row.model,
        "node_id": row.node_id,
        "execution_time": result.execution_time_s,
        "cost": usdc_number(row.cost_micro_usdc),
        "cost_usdc": format_usdc(row.cost_micro_usdc),
    }


def _text(row: TaskRow, result: ModelResult) -> TextAnswer:
    usage = result.usage
    return TextAnswer(
        **_common(row, result),
        generated_text=result.text,
        finish_reason=result.finish_reason,
        usage=TokenUsage(usage.prompt_tokens, usage.completion_tokens, usage.total_tokens),
        seed=result.seed,
    )


def _image(row: TaskRow, result: ModelResult, public_url: str) -> ImageAnswer | None:
    """None: there is no image."""
    left = row.state.result.outputs if row.state.result is not None else ()
    if result.image is None or result.image not in {output.path for output in left}:
        return None
    return ImageAnswer(
        **_common(row, result),
        image_url=output_url(row.id, result.image, public_url),
        parameters_used=ImageParametersUsed(result.width, result.height, result.steps, result.seed),
    )
