"""Events of an account."""

from datetime import datetime
from typing import Any

from msgspec import Struct


class AccountEvent(Struct, frozen=True, kw_only=True):
    """Something that has happened.

    Attributes:
        type: such as ``task.completed``.
        sequence: grows in the order in which things happened; ask for what comes after it.
        fields: all that it says, as it came: ``task_id``, ``status``, ...
    """

    type: str
    sequence: int
    timestamp: datetime
    fields: dict[str, Any]


class EventPage(Struct, frozen=True, kw_only=True):
    """Some events, oldest first; ``next_after``: ask for what comes after it; ``reset``: the coordinator knows no event
    of the sequence that was asked for, so what you keep of earlier ones may be another now."""

    events: list[AccountEvent]
    next_after: int
    reset: bool = False
