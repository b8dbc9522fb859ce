"""A submission's body as a task in words, and as its client is shown it. Pure, but for the time and the task's id."""

import time

from neurogrid_marketplace.verification import UNVERIFIED

from ..api.envelope import success
from ..api.native.task_kinds import read_container
from ..api.native.task_views import task_view
from ..services import intake
from ..services.drafts import draft_of
from ..services.errors import Refused
from ..services.submission import Submission, Terms
from ..services.task_details import TaskDetail
from ..services.written_tasks import WrittenTask
from ..store import tasks

_NS_PER_MS = 1_000_000


def write(body: bytes, terms: Terms) -> tuple[WrittenTask, bytes] | None:
    """The task, and the body of the answer that it is stored; None: the api has to read it, and knows what is wrong
    with it, if anything is."""
    try:
        wanted = read_container(body)
        if wanted is None or not _is_plain(wanted):
            return None
        draft = draft_of(wanted, {}, terms)
    except Refused:
        return None
    now_ms = time.time_ns() // _NS_PER_MS
    task = intake.new_task("", draft, intake.state_of(draft, now_ms))
    written = WrittenTask(tasks.columns_of(task, now_ms), wanted.wait_for_node)
    answer = success(task_view(TaskDetail(tasks.new_row(task, now_ms))), status=201)
    return written, bytes(answer.body)


def _is_plain(wanted: Submission) -> bool:
    """Whether it depends on nothing but itself; see `WrittenTask`."""
    return (
        not wanted.inputs
        and wanted.stands_alone
        and wanted.spread is None
        and wanted.gang is None
        and wanted.verification == UNVERIFIED
        # What comes too late is known when it is stored.
        and not wanted.finish_by_ms
    )
