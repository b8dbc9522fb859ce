"""Document 001's scheduled tasks: native ones, whose runs are batches that ask models."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from fastapi import Depends, FastAPI, Query
from msgspec import UNSET
from starlette.requests import Request
from starlette.responses import Response

from ...services.schedules import OF_ACCOUNT_MAX, Schedules
from ...store.schedules import ScheduleOrder, ScheduleRow
from ..auth import Caller, Gate
from ..body import read_json
from ..envelope import iso, iso_or_none
from ..leaving import while_there
from ..native.schedule_requests import ScheduleRequest, schedule_wanted
from ..openapi import Schemas
from .runner_form import NAME, PREFIX, Order, Paging, done, paging_if_asked, refusals
from .runner_requests import changed_template, schedule_batch
from .runner_schemas import (
    RunnerSchedule,
    RunnerScheduleList,
    RunnerSchedulePatch,
    RunnerScheduleView,
)

_SCHEDULES = f"{PREFIX}/scheduled-tasks"
_ORDERS = {"createdAt": ScheduleOrder.AGE, "name": ScheduleOrder.NAME}
_EXAMPLE = {
    "name": "Daily Report Generator",
    "schedule": "0 9 * * *",
    "inputFile": "/path/to/tasks.csv",
    "isDryRun": False,
    "config": {"model": "gpt-4", "temperature": 0.7, "maxRetries": 3},
}
# Fields of a patch -> those of a stored schedule.
_FIELDS = {
    "name": "name",
    "schedule": "cron",
    "is_active": "is_active",
    "is_dry_run": "dry_run",
    "output_file": "output_file",
}


def add_runner_schedule_routes(
    app: FastAPI, schedules: Schedules, gate: Gate, schemas: Schemas
) -> None:
    """Add the routes."""
    refused = refusals(schemas)
    one = f"{_SCHEDULES}/{{schedule_id}}"

    @app.post(
        _SCHEDULES,
        tags=[NAME],
        summary="Ask models again and again",
        status_code=201,
        response_class=Response,
        responses={201: schemas.answer(RunnerScheduleView, "It is stored."), **refused(400, 413)},
        openapi_extra=schemas.body(RunnerSchedule, _EXAMPLE),
    )
    async def create_schedule(
        request: Request, caller: Annotated[Caller, Depends(gate)]
    ) -> Response:
        """Each run is a batch of the file's tasks as they are then."""
        body = await read_json(request, RunnerSchedule)
        native = ScheduleRequest(
            name=body.name,
            schedule=body.schedule,
            batch=schedule_batch(body.input_file, body.config),
            output_file=_own_path(body.output_file),
            dry_run=body.is_dry_run,
            is_active=body.is_active,
        )
        row, _ = await while_there(
            request, schedules.create(caller.account, schedule_wanted(native))
        )
        return done(_view(row), status=201, message="Scheduled task created successfully")

    @app.get(
        _SCHEDULES,
        tags=[NAME],
        summary="List scheduled tasks",
        response_class=Response,
        responses={200: schemas.answer(RunnerScheduleList, "Newest first."), **refused(400)},
    )
    async def list_schedules(
        caller: Annotated[Caller, Depends(gate)],
        asked: Annotated[Paging | None, Depends(paging_if_asked)],
        is_active: Annotated[bool | None, Query(alias="isActive")] = None,
        name: Annotated[
            str | None, Query(max_length=200, description="Occurs in the name.")
        ] = None,
        sort: Literal["createdAt", "name"] = "createdAt",
        order: Order = "desc",
    ) -> Response:
        """All of your account, also those that were made natively; a page of them with `page` or `limit`."""
        paging = asked or Paging(1, OF_ACCOUNT_MAX)
        page = await schedules.list(
            caller.account,
            is_active=is_active,
            text=name,
            order=_ORDERS[sort],
            descending=order == "desc",
            limit=paging.limit,
            offset=paging.offset,
        )
        views = [_view(row) for row in page.schedules]
        return done(RunnerScheduleList(views, paging.of(page.total)))

    @app.patch(
        one,
        tags=[NAME],
        summary="Change a scheduled task",
        response_class=Response,
        responses={
            200: schemas.answer(RunnerScheduleView, "As it is now."),
            **refused(400, 404, 413),
        },
        openapi_extra=schemas.body(RunnerSchedulePatch, {"name": "Another name"}),
    )
    async def update_schedule(
        request: Request, schedule_id: str, caller: Annotated[Caller, Depends(gate)]
    ) -> Response:
        """Runs that go on stay as they are. Of `config` what is not named stays, too."""
        body = await read_json(request, RunnerSchedulePatch)
        changes = _changes(body)
        if body.input_file is not UNSET or body.config is not UNSET:
            before = await schedules.get(caller.account, schedule_id)
            changes["template"] = changed_template(before.template, body.input_file, body.config)
        row = await while_there(request, schedules.update(caller.account, schedule_id, changes))
        return done(_view(row), message="Scheduled task updated successfully")

    @app.post(
        one + "/enable",
        tags=[NAME],
        summary="Enable a scheduled task",
        response_class=Response,
        responses={
            200: schemas.answer(RunnerScheduleView, "It runs at its times."),
            **refused(404),
        },
    )
    async def enable_schedule(
        schedule_id: str, caller: Annotated[Caller, Depends(gate)]
    ) -> Response:
        """Times that passed while it was disabled are not made up for."""
        row = await schedules.set_active(caller.account, schedule_id, True)
        return done(_view(row), message="Scheduled task enabled")

    @app.post(
        one + "/disable",
        tags=[NAME],
        summary="Disable a scheduled task",
        response_class=Response,
        responses={
            200: schemas.answer(RunnerScheduleView, "It runs no more."),
            **refused(404),
        },
    )
    async def disable_schedule(
        schedule_id: str, caller: Annotated[Caller, Depends(gate)]
    ) -> Response:
        """What runs goes on."""
        row = await schedules.set_active(caller.account, schedule_id, False)
        return done(_view(row), message="Scheduled task disabled")


def _changes(body: RunnerSchedulePatch) -> dict[str, Any]:
    changes = {
        stored: value
        for name, stored in _FIELDS.items()
        if (value := getattr(body, name)) is not UNSET
    }
    if "output_file" in changes:
        changes["output_file"] = _own_path(changes["output_file"])
    return changes


def _own_path(path: str) -> str:
    """The document names files from the root on: that is the account's folder."""
    return path.lstrip("/") or path


def _view(row: ScheduleRow) -> RunnerScheduleView:
    template: Mapping[str, Any] = row.template
    return RunnerScheduleView(
        id=row.id,
        name=row.name,
        schedule=row.cron,
        is_active=row.is_active,
        is_dry_run=row.dry_run,
        input_file=template.get("input_file"),
        output_file=row.output_file or None,
        created_at=iso(row.created_at_ms),
        last_run=iso_or_none(row.last_run_at_ms),
        next_run=iso_or_none(row.next_run_at_ms),
    )
