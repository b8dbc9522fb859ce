"""A submission as it would be stored, and what is refused before anybody looks at the database or the market. Pure."""

import time
from collections.abc import Mapping

from ..store.ids import new_id
from .errors import InvalidRequest
from .intake import Draft
from .submission import Submission, Terms


def draft_of(
    wanted: Submission,
    sizes: Mapping[str, int],
    terms: Terms,
    place: str = "",
    task_id: str | None = None,
) -> Draft:
    """The submission as it would be stored; see `Tasks.draft`.

    Raises:
        InvalidRequest: as there.
    """
    require_time(wanted, terms, place)
    _require_inputs(wanted, sizes, place)
    job = wanted.job(sizes)
    job_hash = job.hash()
    task_id = task_id or new_id("task")
    demand_id = f"demand{task_id.removeprefix('task')}"
    return Draft(
        task_id=task_id,
        wanted=wanted,
        job=job,
        demand=wanted.demand(demand_id, job, job_hash, terms),
        record=wanted.record(job_hash),
        queue_timeout_s=wanted.queue_timeout_s or terms.queue_timeout_s,
    )


def require_time(wanted: Submission, terms: Terms, place: str = "") -> None:
    """Refuse a time limit for which no escrow can be opened.

    Raises:
        InvalidRequest: it is longer.
    """
    if wanted.timeout_s > terms.timeout_s_max:
        raise InvalidRequest(
            f"{place}timeout_seconds: at most {terms.timeout_s_max} s; for longer the stakes of this market's nodes "
            "do not stand good",
            f"{place}timeout_seconds",
        )


def require_deadline(wanted: Submission, place: str) -> None:
    """Refuse a deadline that can't be kept any more.

    Raises:
        InvalidRequest: how late it would be.
    """
    if not wanted.finish_by_ms or wanted.runs_late:
        return
    late_s = (_now_ms() - wanted.finish_by_ms) // 1000 + wanted.timeout_s
    if late_s > 0:
        # In no document's words: each has others for the time limit.
        raise InvalidRequest(
            f"{place}deadline: the task may take {wanted.timeout_s} s, and would end {late_s} s too late even if it "
            "began now; let it end later, or limit its time to less",
            f"{place}deadline",
        )


def _require_inputs(wanted: Submission, sizes: Mapping[str, int], place: str) -> None:
    for item in wanted.inputs:
        if item.sha256 not in sizes:
            where = f"{place}inputs[{item.index}]"
            raise InvalidRequest(
                f"{where}: the artifact {item.sha256} is not here; upload it first with "
                f"PUT /api/v1/artifacts/{item.sha256}",
                f"{where}.sha256",
            )


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
