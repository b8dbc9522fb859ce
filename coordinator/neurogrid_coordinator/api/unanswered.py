"""The error of a request that waited for a task's result, where the task ended without one."""

from ..services import unanswered as services
from ..store.tasks import TaskRow
from .errors import Problem, refused


def unanswered(row: TaskRow) -> Problem:
    """Why there is no result, in the words of whoever waited for it."""
    return refused(services.unanswered(row))
