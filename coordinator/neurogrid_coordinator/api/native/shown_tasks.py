"""What was shown of tasks a moment ago: who looks at one again before anything has changed gets the same bytes."""

from dataclasses import dataclass

import msgspec

from ...services.task_details import TaskDetail
from .task_views import task_view

# As many as are remembered as they were read (`services.task_details`): some 4 KB each, and no more than this.
_SHOWN_MAX = 256
_BYTES_MAX = 32 * 1024

_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class _Shown:
    detail: TaskDetail
    ready: bool
    text: bytes


class ShownTasks:
    """The tasks that were shown last."""

    def __init__(self) -> None:
        self._shown: dict[str, _Shown] = {}

    def of(self, detail: TaskDetail, *, ready: bool) -> msgspec.Raw:
        """A task's view as JSON; see `task_view`."""
        task_id = detail.row.id
        shown = self._shown.pop(task_id, None)
        # What was read of the same rows is the same value: no need to compare what is in it.
        if shown is None or shown.detail is not detail or shown.ready != ready:
            shown = _Shown(detail, ready, _encode(task_view(detail, ready=ready)))
        if len(shown.text) <= _BYTES_MAX:
            self._shown[task_id] = shown
            if len(self._shown) > _SHOWN_MAX:
                del self._shown[next(iter(self._shown))]
        return msgspec.Raw(shown.text)
