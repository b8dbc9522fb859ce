"""What document 000 asks of models, as the native API takes it."""

import math
from datetime import UTC, datetime
from typing import Any

import msgspec

from neurogrid_marketplace.fields import Sha256
from neurogrid_marketplace.model_catalogue import ModelType

from ...services.errors import InvalidRequest
from ...services.models import Models
from .bolt_task_schemas import BoltOptions, BoltTaskRequest

# What an image has at the best quality.
_STEPS_MAX = 40
# Native field -> the document's.
FIELDS = {
    "prompt": "input",
    "texts": "input",
    "file": "input",
    "inputs[1].sha256": "input",
    "timeout_seconds": "options.timeout",
    "depends_on": "options.dependencies",
    "deadline": "options.customPriority.deadline",
    "priority_reason": "options.customPriority.reason",
    "parameters": "options.quality",
}


def native_request(
    asked: BoltTaskRequest, models: Models, *, timeout_ms: float | None = None, place: str = ""
) -> dict[str, Any]:
    """The JSON that `POST /api/v1/tasks` takes for the same.

    Args:
        timeout_ms: where the request says none; None: the catalogue's.
        place: what its fields' paths begin with.

    Raises:
        ModelUnavailable: there is no such model.
        InvalidRequest: a model that hears is given no file.
    """
    options, urgency = asked.options, asked.options.custom_priority
    kind = models.find(asked.model).type
    timeout = options.timeout if options.timeout is not None else timeout_ms
    native: dict[str, Any] = {
        "kind": "model",
        "model": asked.model,
        **_input(kind, asked.input, place),
        "parameters": _parameters(kind, options),
        "priority": asked.priority if urgency.level is None else urgency.level,
        "priority_reason": urgency.reason,
        "depends_on": list(options.dependencies),
    }
    if timeout is not None:
        native["timeout_seconds"] = math.ceil(timeout / 1000)
    if urgency.deadline is not None:
        native["deadline"] = _in_utc(urgency.deadline)
    return native


def _input(kind: ModelType, text: str, place: str) -> dict[str, Any]:
    """What a model of this type works on."""
    match kind:
        case ModelType.AUDIO:
            try:
                msgspec.convert(text, Sha256)
            except msgspec.ValidationError:
                raise InvalidRequest(
                    f"{place}input: of a model that hears, the SHA-256 of an artifact with the recording (PUT "
                    "/api/v1/artifacts/{sha256} brings it)",
                    f"{place}input",
                ) from None
            return {"file": {"sha256": text}}
        case ModelType.EMBEDDING:
            return {"texts": [text]}
        case _:
            return {"prompt": text}


def _parameters(kind: ModelType, options: BoltOptions) -> dict[str, Any]:
    """What a wish for quality means to a model of this type; docs/dialects/bolt.md says so, too."""
    if options.quality is None:
        return {}
    match kind:
        case ModelType.TEXT:
            return {"temperature": round(1 - options.quality, 6)}
        case ModelType.IMAGE:
            return {"steps": max(1, round(_STEPS_MAX * options.quality))}
        case _:
            return {}


def _in_utc(moment: datetime) -> str:
    """One without a zone is UTC's."""
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return aware.isoformat()
