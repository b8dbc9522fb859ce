"""``PATCH /tasks/{task_id}`` and ``POST /tasks/{task_id}/execute``: ask otherwise for what waits, and again for what has ended."""

from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, Literal

import msgspec
from fastapi import Depends, FastAPI, Request
from msgspec import UNSET, Meta, Struct, UnsetType
from starlette.responses import Response

from neurogrid_marketplace.condition_text import MAX_TEXT_CHARS
from neurogrid_marketplace.conditions import Where
from neurogrid_marketplace.demand import MAX_TIMEOUT_S
from neurogrid_marketplace.fields import Word
from neurogrid_marketplace.resources import Requirements

from ...services.errors import InvalidRequest
from ...services.submission import Submission
from ...services.task_changes import Change, TaskChanges
from ..auth import Caller, Gate
from ..body import JSON_BYTES_MAX, from_json, read_body, read_json
from ..envelope import success
from ..idempotency import IDEMPOTENCY_KEY, idempotency_key
from ..openapi import Schemas, errors
from ..paths import API
from .amounts import micro_usdc
from .constraints import read_constraints, require_possible
from .requests import TASK_RULES, Priority, ResourceRequirements
from .task_schemas import TaskView
from .task_submissions import finish_by_ms, requirements_of
from .task_views import resource_view, task_view
from .words import priority_number

_EXAMPLE = {"max_price_per_hour": "15.00", "priority": "high"}


class ResourceChanges(Struct, frozen=True, forbid_unknown_fields=True):
    """What the job needs otherwise; the rest stays. A GB is 10^9 bytes."""

    cpu_cores: Annotated[float, Meta(ge=0.01, le=10_000)] | UnsetType = UNSET
    ram_gb: Annotated[float, Meta(ge=0.01, le=1_000_000)] | UnsetType = UNSET
    storage_gb: Annotated[float, Meta(ge=0.01, le=1_000_000)] | UnsetType = UNSET
    gpu_count: Annotated[
        Annotated[int, Meta(ge=0, le=64)] | UnsetType,
        Meta(description="0: none, whatever was asked of them."),
    ] = UNSET
    gpu_memory_gb: Annotated[float, Meta(ge=0, le=1_000_000)] | UnsetType = UNSET
    gpu_model: Annotated[str, Meta(max_length=128)] | UnsetType = UNSET
    gpu_compute_capability: Annotated[str, Meta(pattern=r"^([0-9]{1,2}\.[0-9])?\Z")] | UnsetType = (
        UNSET
    )


class TaskChange(Struct, frozen=True, forbid_unknown_fields=True):
    """What is asked for otherwise; the rest stays. What the job does is not changed: image, command, inputs."""

    name: Annotated[str, Meta(max_length=200)] | UnsetType = UNSET
    max_price_per_hour: Annotated[
        Decimal | UnsetType, Meta(description="Bids above are not considered, USDC.")
    ] = UNSET
    max_total_cost: Annotated[
        Decimal | UnsetType | None, Meta(description="USDC; null for no limit of its own.")
    ] = UNSET
    timeout_seconds: Annotated[int, Meta(ge=1, le=MAX_TIMEOUT_S)] | UnsetType = UNSET
    priority: Priority | UnsetType = UNSET
    priority_reason: Annotated[str, Meta(max_length=500)] | UnsetType = UNSET
    deadline: Annotated[
        Annotated[datetime, Meta(tz=True)] | UnsetType | None, Meta(description="null for none.")
    ] = UNSET
    deadline_policy: Literal["end", "run"] | UnsetType = UNSET
    queue_timeout_seconds: Annotated[
        Annotated[int, Meta(ge=1, le=30 * 24 * 3600)] | UnsetType | None,
        Meta(description="Counted from when it was queued; null for the coordinator's."),
    ] = UNSET
    resource_requirements: ResourceChanges | UnsetType = UNSET
    regions: Annotated[
        Annotated[tuple[Word, ...], Meta(max_length=32)] | UnsetType,
        Meta(description="Any of these; empty: anywhere."),
    ] = UNSET
    constraints: Annotated[
        Annotated[str, Meta(max_length=MAX_TEXT_CHARS)] | Where | UnsetType,
        Meta(description="In place of all conditions before, as in `POST /tasks`."),
    ] = UNSET
    wait_for_node: bool | UnsetType = UNSET


_decode = msgspec.json.Decoder(TaskChange).decode


def add_task_change_routes(
    app: FastAPI, changes: TaskChanges, gate: Gate, schemas: Schemas
) -> None:
    """Add the routes."""

    @app.patch(
        f"{API}/tasks/{{task_id}}",
        tags=["Tasks"],
        summary="Change a task that waits",
        response_class=Response,
        responses={
            200: schemas.answer(TaskView, "As it is asked for now."),
            **errors(
                "INVALID_REQUEST",
                "UNAUTHORIZED",
                "INSUFFICIENT_CREDITS",
                "QUOTA_EXCEEDED",
                "NODE_UNAVAILABLE",
                "NOT_FOUND",
                "CONFLICT",
                "PAYLOAD_TOO_LARGE",
                "RATE_LIMITED",
            ),
        },
        openapi_extra={"parameters": [IDEMPOTENCY_KEY], **schemas.body(TaskChange, _EXAMPLE)},
    )
    async def change_task(
        request: Request, task_id: str, caller: Annotated[Caller, Depends(gate)]
    ) -> Response:
        """It keeps its place in the queue, and is auctioned anew at once. The money that is held for it becomes more or
        less in the same transaction, and what the account can't bear is refused as in a submission. An auction that is
        open is waited for, up to five seconds; what has begun is refused with `CONFLICT`."""
        body = await read_json(request, TaskChange, TASK_RULES)
        return success(task_view(await changes.change(caller.account, task_id, change_of(body))))

    @app.post(
        f"{API}/tasks/{{task_id}}/execute",
        tags=["Tasks"],
        summary="Execute a task once more",
        status_code=201,
        response_class=Response,
        responses={
            201: schemas.answer(TaskView, "Another task; `execution_of` says of which."),
            200: schemas.answer(
                TaskView,
                "It has not ended, so this is itself; or it was sent before with this key.",
            ),
            **errors(
                "INVALID_REQUEST",
                "UNAUTHORIZED",
                "INSUFFICIENT_CREDITS",
                "QUOTA_EXCEEDED",
                "NODE_UNAVAILABLE",
                "NOT_FOUND",
                "CONFLICT",
                "DEPENDENCY_UNMET",
                "IDEMPOTENCY_MISMATCH",
                "PAYLOAD_TOO_LARGE",
                "RATE_LIMITED",
            ),
        },
        openapi_extra={
            "parameters": [IDEMPOTENCY_KEY],
            "requestBody": {**schemas.body(TaskChange, _EXAMPLE)["requestBody"], "required": False},
        },
    )
    async def execute_task(
        request: Request, task_id: str, caller: Annotated[Caller, Depends(gate)]
    ) -> Response:
        """With the same request as another task, if it has ended: what the body names is asked for otherwise. One that
        waits or runs is under way already, and left alone."""
        key = idempotency_key(request)
        body = await read_body(request, JSON_BYTES_MAX)
        wanted = from_json(body, _decode, TaskChange, TASK_RULES) if body else TaskChange()
        change = change_of(wanted) if wanted != TaskChange() else None
        detail, created = await changes.execute(caller.account, task_id, change, key)
        location = {"Location": f"{API}/tasks/{detail.row.id}"}
        return success(task_view(detail), status=201 if created else 200, headers=location)


def change_of(wanted: TaskChange) -> Change:
    """What makes the new request of the present one."""

    def change(asked: Submission) -> Submission:
        changed = replace(asked, **_plain(wanted), **_money(wanted), **_time(wanted, asked))
        if wanted.constraints is not UNSET:
            where = read_constraints(wanted.constraints, "constraints")
            changed = replace(changed, where=where)
        if wanted.resource_requirements is not UNSET or wanted.regions is not UNSET:
            needs = _requirements(wanted, changed)
            changed = replace(changed, requirements=needs, kind="gpu" if needs.gpu_count else "cpu")
        if changed.where:
            require_possible(changed, "constraints")
        return changed

    return change


def _plain(wanted: TaskChange) -> dict[str, Any]:
    changes: dict[str, Any] = {}
    for name in ("name", "priority_reason", "wait_for_node"):
        if (value := getattr(wanted, name)) is not UNSET:
            changes[name] = value
    if wanted.priority is not UNSET:
        changes["priority"] = priority_number(wanted.priority)
    return changes


def _money(wanted: TaskChange) -> dict[str, Any]:
    changes: dict[str, Any] = {}
    if (price := wanted.max_price_per_hour) is not UNSET:
        changes["max_price_micro_usdc_per_hour"] = micro_usdc(price, "max_price_per_hour")
    if (limit := wanted.max_total_cost) is not UNSET:
        changes["max_total_cost_micro_usdc"] = (
            None if limit is None else micro_usdc(limit, "max_total_cost")
        )
    return changes


def _time(wanted: TaskChange, asked: Submission) -> dict[str, Any]:
    changes: dict[str, Any] = {}
    if wanted.timeout_seconds is not UNSET:
        changes["timeout_s"] = wanted.timeout_seconds
    if wanted.queue_timeout_seconds is not UNSET:
        changes["queue_timeout_s"] = wanted.queue_timeout_seconds
    by_ms = asked.finish_by_ms
    if wanted.deadline is not UNSET:
        changes["finish_by_ms"] = by_ms = finish_by_ms(wanted.deadline, "")
    runs_late = asked.runs_late
    if wanted.deadline_policy is not UNSET:
        if not by_ms:
            raise InvalidRequest("deadline_policy: it has no deadline", "deadline_policy")
        runs_late = wanted.deadline_policy == "run"
    changes["runs_late"] = runs_late and bool(by_ms)
    return changes


def _requirements(wanted: TaskChange, asked: Submission) -> Requirements:
    regions = asked.requirements.regions if wanted.regions is UNSET else wanted.regions
    if wanted.resource_requirements is UNSET:
        return replace(asked.requirements, regions=regions)
    if asked.model is not None or asked.operation is not None:
        raise InvalidRequest(
            "resource_requirements: follow from the model or the operation", "resource_requirements"
        )
    before = msgspec.structs.asdict(resource_view(asked.requirements))
    named = msgspec.structs.asdict(wanted.resource_requirements)
    changes = {name: value for name, value in named.items() if value is not UNSET}
    if changes.get("gpu_count") == 0:
        usual = ResourceRequirements()
        for name in ("gpu_memory_gb", "gpu_model", "gpu_compute_capability"):
            before[name] = getattr(usual, name)
    return requirements_of(ResourceRequirements(**{**before, **changes}), regions)
