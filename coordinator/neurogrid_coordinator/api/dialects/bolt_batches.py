"""Document 000's ``/api/tasks/batch``: a native batch whose tasks ask models."""

from typing import Annotated

from fastapi import Depends, FastAPI, Request
from starlette.responses import Response

from ...services.batch_intake import BatchIntake
from ...services.batches import Batches
from ...services.models import Models
from ..auth import Caller, Gate
from ..body import read_json
from ..envelope import json_response
from ..idempotency import IDEMPOTENCY_KEY, idempotency_key
from ..leaving import while_there
from ..native.batch_requests import BODY_BYTES_MAX, BatchRequest
from ..native.batch_sources import BatchSources, batch_wanted
from ..native.batch_views import STATUS_OF_BATCH
from ..openapi import Schemas
from .bolt_errors import bolt_errors
from .bolt_requests import FIELDS, native_request
from .bolt_task_schemas import BOLT_TASK_RULES, BoltBatch, BoltBatchRequest
from .bolt_words import NAME, STATUS
from .field_names import naming

_EXAMPLE = {
    "tasks": [{"model": "bard-1m", "input": "To be, or not", "priority": 5}],
    "batchOptions": {"parallel": True, "maxConcurrent": 5, "timeoutPerTask": 30000},
}


def add_bolt_batch_route(
    app: FastAPI,
    intake: BatchIntake,
    batches: Batches,
    sources: BatchSources,
    models: Models,
    gate: Gate,
    schemas: Schemas,
) -> None:
    """Add the route."""

    @app.post(
        "/api/tasks/batch",
        tags=[NAME],
        summary="Ask models many things",
        status_code=201,
        response_class=Response,
        responses={
            201: schemas.bare(BoltBatch, "All of its tasks are stored."),
            200: schemas.bare(BoltBatch, "It was sent before with this idempotency key."),
            **bolt_errors(schemas, 400, 401, 403, 404, 409, 413, 422, 429, 503),
        },
        openapi_extra={
            "parameters": [IDEMPOTENCY_KEY],
            **schemas.body(BoltBatchRequest, _EXAMPLE),
        },
    )
    async def create_bolt_batch(
        request: Request, caller: Annotated[Caller, Depends(gate)]
    ) -> Response:
        """All are stored, or none. `taskIds` may be asked for at once; money and nodes are looked for when a
        task's turn comes."""
        key = idempotency_key(request)
        asked = await read_json(
            request, BoltBatchRequest, BOLT_TASK_RULES, limit_bytes=BODY_BYTES_MAX
        )
        options = asked.batch_options
        with naming(FIELDS):
            native = BatchRequest(
                tasks=tuple(
                    native_request(
                        task,
                        models,
                        timeout_ms=options.timeout_per_task,
                        place=f"tasks[{number}].",
                    )
                    for number, task in enumerate(asked.tasks)
                ),
                max_concurrency=options.max_concurrent,
                parallel=options.parallel,
            )
            wanted = batch_wanted(native, key)
            source = await sources.of(caller.account, native)
            batch, created = await while_there(
                request, intake.create(caller.account, wanted, source)
            )
        row = batch.row
        view = BoltBatch(
            batch_id=row.id,
            task_ids=list(await batches.task_ids(caller.account, row.id)),
            total=row.counts.total,
            status=STATUS[STATUS_OF_BATCH[row.state]],
        )
        location = {"Location": f"/api/v1/batches/{row.id}"}
        return json_response(view, 201 if created else 200, location)
