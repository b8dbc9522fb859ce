"""What failed, and what was done about it."""

from datetime import datetime
from typing import Any, Literal

from msgspec import Struct

from .listed import Listed

Severity = Literal["low", "medium", "high"]


class LoggedError(Struct, frozen=True, kw_only=True):
    """Something that failed.

    Attributes:
        severity: ``low``: a task found no node in time; ``medium``: one failed; ``high``: a bug of the coordinator's.
        account_id: whose; None for a bug, which belongs to nobody.
        context: what was going on, for programs.
        stack: where, as far as is known.
        resolution: what somebody found out or did about it; None while nobody has said.
    """

    id: str
    timestamp: datetime
    severity: Severity
    code: str
    message: str
    account_id: str | None = None
    task_id: str | None = None
    context: dict[str, Any] = {}
    stack: str = ""
    resolution: str | None = None
    resolved_at: datetime | None = None


class LoggedErrorPage(Listed[LoggedError], Struct, frozen=True, kw_only=True):
    """Some errors, newest first; ``total`` counts all that were asked for."""

    errors: list[LoggedError]
    total: int
    limit: int = 0
    offset: int = 0
