"""Schedules: tasks and batches that are run by cron. The API calls them scheduled tasks."""

import uuid
from collections.abc import AsyncGenerator, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any

from ..models.schedules import (
    NextRuns,
    Schedule,
    ScheduleEnd,
    SchedulePage,
    SchedulePreview,
    ScheduleRun,
    ScheduleRunPage,
)
from .pages import each
from .transport import Transport

_PATH = "/scheduled-tasks"


class Schedules:
    """The account's schedules."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    async def create(
        self,
        name: str,
        schedule: str,
        *,
        task: Mapping[str, Any] | None = None,
        batch: Mapping[str, Any] | None = None,
        idempotency_key: str | None = None,
        **options: Any,
    ) -> Schedule:
        """Run a task or a batch by cron.

            client.schedules.create("Report", "0 9 * * MON-FRI", time_zone="Europe/Berlin", task={...})

        Args:
            schedule: five fields, as cron has them.
            task, batch: one of them: fields of ``POST /api/v1/tasks``, or of ``POST /api/v1/batches``.
            options: other fields of ``POST /api/v1/scheduled-tasks``: time_zone, output_file,
                output_artifact, dry_run, missed, overlap, is_active, ends_at.
            idempotency_key: the same key with the same arguments returns the first schedule.

        Raises:
            InvalidRequestError: a value is wrong; its ``code`` is INVALID_CRON_EXPRESSION where it is
                the schedule or the time zone.
        """
        headers = {"Idempotency-Key": idempotency_key or uuid.uuid4().hex}
        body = _body(name=name, schedule=schedule, task=task, batch=batch, **options)
        return await self._transport.call(Schedule, "POST", _PATH, json=body, headers=headers)

    async def preview(
        self,
        name: str,
        schedule: str,
        *,
        task: Mapping[str, Any] | None = None,
        batch: Mapping[str, Any] | None = None,
        count: int = 5,
        **options: Any,
    ) -> SchedulePreview:
        """What such a schedule would do: when, how many tasks, and for how much at most.

        >>> job = {"docker_image": "neurogrid/job:1", "max_price_per_hour": "1.00"}
        >>> preview = await client.schedules.preview("Report", "0 9 * * MON-FRI", task=job)
        >>> len(preview.next_runs)
        5
        """
        body = _body(name=name, schedule=schedule, task=task, batch=batch, **options)
        return await self._transport.call(
            SchedulePreview, "POST", f"{_PATH}/preview", json=body, params={"count": count}
        )

    async def get(self, schedule_id: str) -> Schedule:
        """One schedule.

        Raises:
            NotFoundError: there is no such schedule of this account.
        """
        return await self._transport.call(Schedule, "GET", f"{_PATH}/{schedule_id}")

    async def list(
        self,
        *,
        is_active: bool | None = None,
        name: str | None = None,
        limit: int = 50,
        offset: int = 0,
    ) -> SchedulePage:
        """The account's schedules, newest first; ``name``: a part of the name."""
        params: dict[str, str | int | bool] = {"limit": limit, "offset": offset}
        if is_active is not None:
            params["is_active"] = is_active
        if name is not None:
            params["name"] = name
        return await self._transport.call(SchedulePage, "GET", _PATH, params=params)

    def iterate(
        self, *, is_active: bool | None = None, name: str | None = None, page_size: int = 100
    ) -> AsyncGenerator[Schedule]:
        """All schedules that fit, each once, however many there are; ``page_size``: how many one request asks for."""
        return each(partial(self.list, is_active=is_active, name=name), page_size)

    async def update(self, schedule_id: str, **changes: Any) -> Schedule:
        """Change fields of a schedule."""
        return await self._transport.call(
            Schedule, "PATCH", f"{_PATH}/{schedule_id}", json=_body(**changes)
        )

    async def enable(self, schedule_id: str) -> Schedule:
        """Have it run at its times."""
        return await self._transport.call(Schedule, "POST", f"{_PATH}/{schedule_id}/enable")

    async def disable(self, schedule_id: str) -> Schedule:
        """Have it not run."""
        return await self._transport.call(Schedule, "POST", f"{_PATH}/{schedule_id}/disable")

    async def run(self, schedule_id: str) -> ScheduleRun:
        """Run it once more, now."""
        return await self._transport.call(ScheduleRun, "POST", f"{_PATH}/{schedule_id}/run")

    async def runs(self, schedule_id: str, *, limit: int = 50, offset: int = 0) -> ScheduleRunPage:
        """What became of its times, the latest first."""
        params: dict[str, str | int] = {"limit": limit, "offset": offset}
        return await self._transport.call(
            ScheduleRunPage, "GET", f"{_PATH}/{schedule_id}/runs", params=params
        )

    async def next_runs(self, schedule_id: str, count: int = 5) -> Sequence[datetime]:
        """Its next times."""
        return (
            await self._transport.call(
                NextRuns, "GET", f"{_PATH}/{schedule_id}/next", params={"count": count}
            )
        ).next_runs

    async def delete(self, schedule_id: str) -> ScheduleEnd:
        """Delete it; batches that it has started go on."""
        return await self._transport.call(ScheduleEnd, "DELETE", f"{_PATH}/{schedule_id}")


def _body(**fields: Any) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}
