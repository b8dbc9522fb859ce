"""The body that asks for a task, whichever kind it is of."""

from dataclasses import dataclass, field

import msgspec
from starlette.requests import Request

from ...services import models as model_service
from ...services import operations as operation_service
from ...services.batch_tasks import ReadTask
from ...services.errors import InvalidRequest
from ...services.models import ModelSettings
from ...services.operations import OperationSettings
from ...services.submission import Submission
from ..body import from_json, read_object
from .constraints import require_possible
from .model_schemas import MODEL_RULES, ModelRequest
from .models import model_wanted
from .operation_schemas import OPERATION_RULES, OperationRequest
from .operations import operation_wanted
from .requests import TASK_RULES, TaskRequest
from .task_submissions import submission

_CONTAINER = "container"
_OPERATION = "operation"
_MODEL = "model"


_container = msgspec.json.Decoder(TaskRequest).decode
_operation = msgspec.json.Decoder(OperationRequest).decode
_model = msgspec.json.Decoder(ModelRequest).decode


@dataclass(frozen=True, slots=True)
class ByName:
    """What holds of tasks that are asked for by name."""

    operations: OperationSettings = field(default_factory=OperationSettings)
    models: ModelSettings = field(default_factory=ModelSettings)


class _Kind(msgspec.Struct):
    kind: str = _CONTAINER


async def read_submission(
    request: Request,
    wallet: str,
    by_name: ByName,
    idempotency_key: str | None = None,
) -> Submission:
    """The task that a request asks for: a container job, unless its ``kind`` says otherwise.

    Args:
        wallet: of the account that asks.

    Raises:
        MalformedJson, InvalidRequest, PayloadTooLarge: see `body`.
    """
    return _submission(await read_object(request), wallet, by_name, idempotency_key)


def task_reader(by_name: ByName) -> ReadTask:
    """Reads requests that are stored, each as the API takes a single one."""

    def read(body: bytes, wallet: str, place: str) -> Submission:
        return _submission(body, wallet, by_name, place=place)

    return read


def read_container(body: bytes) -> Submission | None:
    """The container job that a request asks for; None: it asks for something else, or lets its wallet be known.

    Raises:
        MalformedJson, InvalidRequest: see `body`.
    """
    if _kind(body) != _CONTAINER:
        return None
    asked = from_json(body, _container, TaskRequest, TASK_RULES)
    return None if asked.reveal_wallet else submission(asked, "")


def _submission(
    body: bytes,
    wallet: str,
    by_name: ByName,
    idempotency_key: str | None = None,
    place: str = "",
) -> Submission:
    kind = _kind(body)
    if kind == _CONTAINER:
        asked = from_json(body, _container, TaskRequest, TASK_RULES, place)
        return submission(asked, wallet, idempotency_key, place)
    if kind == _MODEL:
        model = from_json(body, _model, ModelRequest, MODEL_RULES, place)
    elif kind == _OPERATION:
        operation = from_json(body, _operation, OperationRequest, OPERATION_RULES, place)
    else:
        field = f"{place}kind"
        raise InvalidRequest(
            f"{field}: is {_CONTAINER}, {_OPERATION} or {_MODEL}, not {kind[:64]!r}", field
        )
    try:
        if kind == _MODEL:
            wanted = model_service.submission_of(
                model_wanted(model, idempotency_key), by_name.models
            )
        else:
            wanted = operation_service.submission_of(
                operation_wanted(operation, idempotency_key), by_name.operations
            )
        if wanted.where:
            require_possible(wanted, "constraints")
    except InvalidRequest as error:
        if not place:
            raise
        field = f"{place}{error.details.get('field', '')}"
        raise InvalidRequest(f"{place}{error.message}", field) from error
    return wanted


def _kind(body: bytes) -> str:
    """What its ``kind`` says; what is wrong with the body is said by who reads all of it."""
    try:
        return msgspec.json.decode(body, type=_Kind).kind
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _CONTAINER
