"""Document 000's ``/api/task`` and ``/api/tasks/statuses``."""

import re
import time
from typing import Annotated

import msgspec
from fastapi import Depends, FastAPI, Query, Request
from starlette.responses import Response

from ...services.batches import Batches
from ...services.errors import InvalidRequest, NotFound
from ...services.models import Models
from ...services.nodes import Nodes
from ...services.tasks import Tasks
from ..auth import Caller, Gate
from ..body import read_json
from ..envelope import json_response
from ..idempotency import IDEMPOTENCY_KEY, idempotency_key
from ..native.model_schemas import ModelRequest
from ..native.models import model_wanted
from ..openapi import Schemas
from .bolt_errors import bolt_errors
from .bolt_requests import FIELDS, native_request
from .bolt_task_schemas import (
    BOLT_TASK_RULES,
    BoltStatuses,
    BoltTask,
    BoltTaskRequest,
)
from .bolt_task_views import (
    bolt_task_view,
    progress_view,
    promised_task_view,
    promised_view,
)
from .bolt_words import NAME
from .field_names import naming

IDS_MAX = 100
_IDS_CHARS_MAX = 50 * IDS_MAX
_ID = re.compile(r"task_[0-9a-f]{32}\Z", re.ASCII)
_EXAMPLE = {
    "model": "bard-1m",
    "input": "To be, or not",
    "priority": 5,
    "options": {
        "quality": 0.95,
        "timeout": 30000,
        "dependencies": [],
        "customPriority": {
            "level": 8,
            "reason": "a demonstration",
            "deadline": "2090-01-01T00:00:00Z",
        },
    },
}


def add_bolt_task_routes(
    app: FastAPI,
    tasks: Tasks,
    batches: Batches,
    models: Models,
    nodes: Nodes,
    gate: Gate,
    schemas: Schemas,
) -> None:
    """Add the routes."""

    @app.post(
        "/api/task",
        tags=[NAME],
        summary="Ask a model",
        status_code=201,
        response_class=Response,
        responses={
            201: schemas.bare(BoltTask, "It is stored, and will run even if we crash now."),
            200: schemas.bare(BoltTask, "It was submitted before with this idempotency key."),
            **bolt_errors(schemas, 400, 401, 402, 403, 404, 409, 413, 422, 429, 503),
        },
        openapi_extra={
            "parameters": [IDEMPOTENCY_KEY],
            **schemas.body(BoltTaskRequest, _EXAMPLE),
        },
    )
    async def create_bolt_task(
        request: Request, caller: Annotated[Caller, Depends(gate)]
    ) -> Response:
        """Answers at once; `GET /api/task/{task_id}` has what comes of it. A model that there is not is 404."""
        key = idempotency_key(request)
        asked = await read_json(request, BoltTaskRequest, BOLT_TASK_RULES)
        with naming(FIELDS):
            native = msgspec.convert(native_request(asked, models), ModelRequest)
            wanted = models.submission(model_wanted(native, key))
            detail, created = await models.submit(caller.account, wanted)
        run = await models.result(detail.row)
        view = bolt_task_view(run, nodes, _now_ms())
        location = {"Location": f"/api/task/{detail.row.id}"}
        return json_response(view, 201 if created else 200, location)

    @app.get(
        "/api/task/{task_id}",
        tags=[NAME],
        summary="Show a task",
        response_class=Response,
        responses={
            200: schemas.bare(BoltTask, "With what came of it."),
            **bolt_errors(schemas, 401, 403, 404, 429, 503),
        },
    )
    async def get_bolt_task(task_id: str, caller: Annotated[Caller, Depends(gate)]) -> Response:
        """Also one that was asked for natively; its `result` is that of a model."""
        try:
            row = (await tasks.get(caller.account, task_id)).row
        except NotFound:
            promised = await batches.promised(caller.account, [task_id])
            if not promised:
                raise
            return json_response(promised_task_view(promised[0], _now_ms()))
        return json_response(bolt_task_view(await models.result(row), nodes, _now_ms()))

    @app.get(
        "/api/tasks/statuses",
        tags=[NAME],
        summary="Show where tasks are",
        response_class=Response,
        responses={
            200: schemas.bare(BoltStatuses, "Each of the account's, once."),
            **bolt_errors(schemas, 401, 403, 422, 429, 503),
        },
    )
    async def get_bolt_statuses(
        caller: Annotated[Caller, Depends(gate)],
        ids: Annotated[
            str, Query(max_length=_IDS_CHARS_MAX, description="Up to 100, with commas between.")
        ],
    ) -> Response:
        """Without what came of them: ask a task itself for that."""
        wanted = _ids(ids)
        # Those that are not there yet first: they may be there a moment later.
        ids_of_tasks = [each for each in wanted if _ID.match(each)]
        promised = await batches.promised(caller.account, ids_of_tasks)
        rows = await tasks.some(caller.account, ids_of_tasks)
        now_ms = _now_ms()
        found = {each.task_id: promised_view(each, now_ms) for each in promised}
        found |= {row.id: progress_view(row, nodes, now_ms) for row in rows}
        return json_response(
            BoltStatuses(
                [found[each] for each in wanted if each in found],
                [each for each in wanted if each not in found],
            )
        )


def _ids(text: str) -> list[str]:
    wanted = list(dict.fromkeys(each.strip() for each in text.split(",") if each.strip()))
    if not 0 < len(wanted) <= IDS_MAX:
        raise InvalidRequest(f"ids: names 1 to {IDS_MAX} tasks", "ids")
    return wanted


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
