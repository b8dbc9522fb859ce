"""Which events somebody wants to be told of: by their names, and by what they are about. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from neurogrid_marketplace.canonical import Json


@dataclass(frozen=True, slots=True)
class EventFilter:
    """What events have to be about.

    Attributes:
        about: ids of tasks, workflows, batches, schedules or nodes, one of which the event has to be about;
            empty: any.
        task_name_prefix: what the name of the event's task begins with; such a filter lets no event
            through that is about no task. "": any.
    """

    about: tuple[str, ...] = ()
    task_name_prefix: str = ""

    def admits(self, ids: Iterable[str], task_name: str | None) -> bool:
        """Whether an event passes.

        Args:
            ids: of what it is about.
            task_name: None where it is about no task.
        """
        if self.about and not set(self.about).intersection(ids):
            return False
        return not self.task_name_prefix or (
            task_name is not None and task_name.startswith(self.task_name_prefix)
        )


def ids_in(data: Mapping[str, Json]) -> set[str]:
    """The ids that an event's data name: ``node_id``, ``batch_id``, ..."""
    return {
        value for name, value in data.items() if name.endswith("_id") and isinstance(value, str)
    }
