"""``/scheduled-tasks``: a task or a batch that is run again and again, by cron."""

from typing import Annotated

from fastapi import Depends, FastAPI, Query, Request
from starlette.responses import Response

from neurogrid_marketplace.money import format_usdc

from ...batches.schedule_rules import RunState
from ...services.schedules import LIST_MAX, NEXT_MAX, Run, Schedules
from ...store.schedules import ScheduleRow
from ..auth import Caller, Gate
from ..body import read_json
from ..envelope import iso, iso_or_none, success
from ..idempotency import IDEMPOTENCY_KEY, idempotency_key
from ..leaving import while_there
from ..openapi import Schemas, errors
from ..paths import API
from .schedule_requests import (
    SchedulePatch,
    ScheduleRequest,
    changes_wanted,
    schedule_wanted,
)
from .schedule_schemas import (
    NextRunsView,
    RunListView,
    RunStatus,
    RunView,
    ScheduleEndView,
    ScheduleListView,
    SchedulePreview,
    ScheduleView,
)

_EXAMPLE = {
    "name": "Daily report",
    "schedule": "0 9 * * MON-FRI",
    "time_zone": "Europe/Berlin",
    "task": {
        "docker_image": "python:3.12-slim",
        "command": ["python", "-c", "print('report')"],
        "max_price_per_hour": "1.00",
        "timeout_seconds": 600,
    },
}
_STATUS_OF_RUN: dict[RunState, RunStatus] = {
    RunState.DUE: "pending",
    RunState.STARTED: "running",
    RunState.COMPLETED: "completed",
    RunState.FAILED: "failed",
    RunState.CANCELLED: "cancelled",
    RunState.SKIPPED: "skipped",
    RunState.DRY: "dry_run",
}
_REFUSALS = ("INVALID_REQUEST", "INVALID_CRON_EXPRESSION", "MODEL_UNAVAILABLE", "PAYLOAD_TOO_LARGE")


def add_schedule_routes(app: FastAPI, schedules: Schedules, gate: Gate, schemas: Schemas) -> None:
    """Add the routes."""
    one = f"{API}/scheduled-tasks/{{schedule_id}}"
    missing = ("UNAUTHORIZED", "SCHEDULED_TASK_NOT_FOUND", "RATE_LIMITED")

    @app.post(
        f"{API}/scheduled-tasks",
        tags=["Scheduled tasks"],
        summary="Run something again and again",
        status_code=201,
        response_class=Response,
        responses={
            201: schemas.answer(ScheduleView, "It is stored."),
            200: schemas.answer(ScheduleView, "It was made before with this idempotency key."),
            **errors(
                *_REFUSALS, "UNAUTHORIZED", "NOT_FOUND", "IDEMPOTENCY_MISMATCH", "RATE_LIMITED"
            ),
        },
        openapi_extra={"parameters": [IDEMPOTENCY_KEY], **schemas.body(ScheduleRequest, _EXAMPLE)},
    )
    async def create_schedule(
        request: Request, caller: Annotated[Caller, Depends(gate)]
    ) -> Response:
        """Its batch is looked at as if it were sent now. Each run is a batch of its own; there is one for each
        due time, whatever happens to the coordinator meanwhile."""
        key = idempotency_key(request)
        body = await read_json(request, ScheduleRequest)
        wanted = schedule_wanted(body, key)
        row, created = await while_there(request, schedules.create(caller.account, wanted))
        location = {"Location": f"{API}/scheduled-tasks/{row.id}"}
        return success(schedule_view(row), status=201 if created else 200, headers=location)

    @app.post(
        f"{API}/scheduled-tasks/preview",
        tags=["Scheduled tasks"],
        summary="See what a scheduled task would do",
        response_class=Response,
        responses={
            200: schemas.answer(SchedulePreview, "Nothing is stored."),
            **errors(*_REFUSALS, "UNAUTHORIZED", "NOT_FOUND", "RATE_LIMITED"),
        },
        openapi_extra=schemas.body(ScheduleRequest, _EXAMPLE),
    )
    async def preview_schedule(
        request: Request,
        caller: Annotated[Caller, Depends(gate)],
        count: Annotated[int, Query(ge=1, le=NEXT_MAX)] = 5,
    ) -> Response:
        """When it would run, how many tasks each time, and what those could cost at most."""
        wanted = schedule_wanted(await read_json(request, ScheduleRequest))
        found = await while_there(request, schedules.preview(caller.account, wanted, count))
        times = [iso(at) for at in found.next_runs_ms]
        return success(SchedulePreview(times, found.tasks, format_usdc(found.most_micro_usdc)))

    @app.get(
        f"{API}/scheduled-tasks",
        tags=["Scheduled tasks"],
        summary="List your scheduled tasks",
        response_class=Response,
        responses={
            200: schemas.answer(ScheduleListView, "Newest first."),
            **errors("INVALID_REQUEST", "UNAUTHORIZED", "RATE_LIMITED"),
        },
    )
    async def list_schedules(
        caller: Annotated[Caller, Depends(gate)],
        is_active: Annotated[bool | None, Query(description="Only these.")] = None,
        name: Annotated[
            str | None, Query(max_length=200, description="Occurs in the name.")
        ] = None,
        limit: Annotated[int, Query(ge=1, le=LIST_MAX)] = 50,
        offset: Annotated[int, Query(ge=0, le=10**9)] = 0,
    ) -> Response:
        """All of your account."""
        page = await schedules.list(
            caller.account, is_active=is_active, text=name, limit=limit, offset=offset
        )
        views = [schedule_view(row) for row in page.schedules]
        return success(ScheduleListView(views, page.total, limit, offset))

    @app.get(
        one,
        tags=["Scheduled tasks"],
        summary="Show a scheduled task",
        response_class=Response,
        responses={200: schemas.answer(ScheduleView, "With its next time."), **errors(*missing)},
    )
    async def get_schedule(schedule_id: str, caller: Annotated[Caller, Depends(gate)]) -> Response:
        """One of another account is not found."""
        return success(schedule_view(await schedules.get(caller.account, schedule_id)))

    @app.patch(
        one,
        tags=["Scheduled tasks"],
        summary="Change a scheduled task",
        response_class=Response,
        responses={
            200: schemas.answer(ScheduleView, "As it is now."),
            **errors(*_REFUSALS, "NOT_FOUND", *missing),
        },
        openapi_extra=schemas.body(SchedulePatch, {"schedule": "0 12 * * *", "is_active": False}),
    )
    async def update_schedule(
        request: Request, schedule_id: str, caller: Annotated[Caller, Depends(gate)]
    ) -> Response:
        """Runs that go on stay as they are."""
        changes = changes_wanted(await read_json(request, SchedulePatch))
        row = await while_there(request, schedules.update(caller.account, schedule_id, changes))
        return success(schedule_view(row))

    @app.delete(
        one,
        tags=["Scheduled tasks"],
        summary="Delete a scheduled task",
        response_class=Response,
        responses={200: schemas.answer(ScheduleEndView, "It is gone."), **errors(*missing)},
    )
    async def delete_schedule(
        schedule_id: str, caller: Annotated[Caller, Depends(gate)]
    ) -> Response:
        """Batches that it has started go on, and stay."""
        row = await schedules.delete(caller.account, schedule_id)
        return success(ScheduleEndView(row.id, "deleted"))

    @app.post(
        one + "/enable",
        tags=["Scheduled tasks"],
        summary="Enable a scheduled task",
        response_class=Response,
        responses={200: schemas.answer(ScheduleView, "It runs at its times."), **errors(*missing)},
    )
    async def enable_schedule(
        schedule_id: str, caller: Annotated[Caller, Depends(gate)]
    ) -> Response:
        """Times that passed while it was disabled are not made up for."""
        row = await schedules.set_active(caller.account, schedule_id, True)
        return success(schedule_view(row), message="Scheduled task enabled")

    @app.post(
        one + "/disable",
        tags=["Scheduled tasks"],
        summary="Disable a scheduled task",
        response_class=Response,
        responses={200: schemas.answer(ScheduleView, "Nothing begins."), **errors(*missing)},
    )
    async def disable_schedule(
        schedule_id: str, caller: Annotated[Caller, Depends(gate)]
    ) -> Response:
        """What runs goes on."""
        row = await schedules.set_active(caller.account, schedule_id, False)
        return success(schedule_view(row), message="Scheduled task disabled")

    @app.post(
        one + "/run",
        tags=["Scheduled tasks"],
        summary="Run a scheduled task now",
        status_code=201,
        response_class=Response,
        responses={
            201: schemas.answer(RunView, "It begins within a second or two."),
            **errors("CONFLICT", *missing),
        },
    )
    async def run_schedule(schedule_id: str, caller: Annotated[Caller, Depends(gate)]) -> Response:
        """Once more, beside its times, whether it is active or not, and beside runs that go on."""
        run = await schedules.run_now(caller.account, schedule_id)
        return success(run_view(run), status=201)

    @app.get(
        one + "/runs",
        tags=["Scheduled tasks"],
        summary="See what became of its runs",
        response_class=Response,
        responses={
            200: schemas.answer(RunListView, "The latest first."),
            **errors("INVALID_REQUEST", *missing),
        },
    )
    async def list_runs(
        schedule_id: str,
        caller: Annotated[Caller, Depends(gate)],
        limit: Annotated[int, Query(ge=1, le=LIST_MAX)] = 50,
        offset: Annotated[int, Query(ge=0, le=10**9)] = 0,
    ) -> Response:
        """The newest thousand."""
        page = await schedules.runs(caller.account, schedule_id, limit=limit, offset=offset)
        return success(RunListView([run_view(run) for run in page.runs], page.total, limit, offset))

    @app.get(
        one + "/next",
        tags=["Scheduled tasks"],
        summary="See when it runs next",
        response_class=Response,
        responses={
            200: schemas.answer(NextRunsView, "None where it is not active."),
            **errors("INVALID_REQUEST", *missing),
        },
    )
    async def next_runs(
        schedule_id: str,
        caller: Annotated[Caller, Depends(gate)],
        count: Annotated[int, Query(ge=1, le=NEXT_MAX)] = 5,
    ) -> Response:
        """Through changes of the clock, too."""
        times = await schedules.next_runs(caller.account, schedule_id, count)
        return success(NextRunsView(schedule_id, [iso(at) for at in times]))


def schedule_view(row: ScheduleRow) -> ScheduleView:
    """A scheduled task."""
    return ScheduleView(
        id=row.id,
        name=row.name,
        schedule=row.cron,
        time_zone=row.time_zone,
        is_active=row.is_active,
        dry_run=row.dry_run,
        missed=row.missed,
        overlap=row.overlap,
        batch=row.template,
        output_file=row.output_file,
        output_artifact=row.output_artifact,
        ends_at=iso_or_none(row.ends_at_ms),
        last_run=iso_or_none(row.last_run_at_ms),
        next_run=iso_or_none(row.next_run_at_ms),
        created_at=iso(row.created_at_ms),
    )


def run_view(run: Run) -> RunView:
    """A run."""
    row, batch = run.row, run.batch
    return RunView(
        id=row.id,
        schedule_id=row.schedule_id,
        due_at=iso(row.due_at_ms),
        by_hand=row.by_hand,
        status=_STATUS_OF_RUN[row.state],
        batch_id=row.batch_id,
        cost_usdc=format_usdc(batch.spent_micro_usdc) if batch is not None else None,
        message=row.note or None,
        output_sha256=row.output_sha256,
        started_at=iso_or_none(row.started_at_ms),
        ended_at=iso_or_none(row.ended_at_ms),
    )
