"""What a task is submitted as: the JSON body, and the types of what many requests share."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Literal

# Conditions on nodes: a text, or the clauses that are signed.
Where = str | Sequence[Mapping[str, Any]]
Priority = Literal["high", "normal", "low"] | int


def task_body(**values: Any) -> dict[str, Any]:
    """The JSON body of a task: what is empty is left to the server's defaults."""
    return {
        name: value.isoformat() if isinstance(value, datetime) else value
        for name, value in values.items()
        if value is not None and value != "" and value is not False and value != () and value != []
    }
