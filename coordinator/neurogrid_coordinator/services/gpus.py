"""How the market's GPUs are: what of them is taken, and which of an account's own tasks have some."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection

from neurogrid_marketplace.task import Phase

from ..market.reports import NodeView
from ..store import task_lists
from ..store.accounts import Account
from ..store.database import Database
from ..store.task_lists import TaskFilter
from ..store.tasks import TaskRow
from .nodes import Nodes

# Of an account's running tasks so many are looked at, the newest.
_TASKS_MAX = 1000


@dataclass(frozen=True, slots=True)
class GpuFigures:
    """Of all connected nodes together, by what they said last.

    Attributes:
        gpus, taken: how many are offered, and how many of those jobs have.
        memory_bytes, memory_taken_bytes: of the GPUs; a GPU that a job has is taken whole.
        busy_percent: how busy those are that tell, mean; None: none does.
        mean_celsius, hottest_celsius: of those that tell; None: none does.
        milliwatts: what those take together that tell; None: none does.
        cpu_load_percent: mean over the nodes with GPUs: how much of its processor cores jobs have.
        since_ms: since when the node with GPUs that is connected longest is, Unix milliseconds; None: there
            is none.
    """

    gpus: int
    taken: int
    memory_bytes: int
    memory_taken_bytes: int
    cpu_load_percent: float
    since_ms: int | None
    busy_percent: float | None = None
    mean_celsius: float | None = None
    hottest_celsius: int | None = None
    milliwatts: int | None = None

    @property
    def taken_percent(self) -> float:
        """0 where none is offered."""
        return round(100 * self.taken / self.gpus, 1) if self.gpus else 0.0


@dataclass(frozen=True, slots=True)
class GpuTask:
    """A running task of the account that has GPUs; ``memory_peak_bytes``: of main memory, by its node's word."""

    row: TaskRow
    memory_peak_bytes: int

    def ran_ms(self, now_ms: int) -> int:
        """Since its container started."""
        return max(
            0, now_ms - (now_ms if self.row.started_at_ms is None else self.row.started_at_ms)
        )


@dataclass(frozen=True, slots=True)
class GpuStatus:
    """The market's GPUs, and the account's own tasks on them, newest first."""

    figures: GpuFigures
    tasks: tuple[GpuTask, ...]


def gpu_figures(views: Iterable[NodeView]) -> GpuFigures:
    """See `GpuFigures`."""
    with_gpus = [view for view in views if view.offer.total.gpus]
    offered = [gpu for view in with_gpus for gpu in view.offer.total.gpus]
    free = [gpu for view in with_gpus for gpu in view.offer.free.gpus]
    memory = sum(gpu.memory_bytes for gpu in offered)
    loads = [
        1 - view.offer.free.cpu_millis / view.offer.total.cpu_millis
        for view in with_gpus
        if view.offer.total.cpu_millis
    ]
    degrees = [gpu.temperature_celsius for view in with_gpus for gpu in view.gpus]
    told = (gpu.power_milliwatts for view in with_gpus for gpu in view.gpus)
    watts = [each for each in told if each is not None]
    return GpuFigures(
        gpus=len(offered),
        taken=len(offered) - len(free),
        memory_bytes=memory,
        memory_taken_bytes=memory - sum(gpu.memory_bytes for gpu in free),
        cpu_load_percent=round(100 * sum(loads) / len(loads), 1) if loads else 0.0,
        since_ms=min((view.connected_since_ms for view in with_gpus), default=None),
        busy_percent=_mean([gpu.utilisation_percent for view in with_gpus for gpu in view.gpus]),
        mean_celsius=_mean(degrees),
        hottest_celsius=max((each for each in degrees if each is not None), default=None),
        milliwatts=sum(watts) if watts else None,
    )


def _mean(values: Sequence[int | None]) -> float | None:
    told = [value for value in values if value is not None]
    return round(sum(told) / len(told), 1) if told else None


class Gpus:
    """What accounts are told of GPUs."""

    def __init__(self, database: Database, nodes: Nodes) -> None:
        self._database = database
        self._nodes = nodes

    async def status(self, account: Account) -> GpuStatus:
        """How they are now. Of others' tasks it says no more than that GPUs are taken."""
        which = TaskFilter(account.id, phases=frozenset({Phase.RUNNING}))

        def read(conn: Connection) -> list[TaskRow]:
            rows = task_lists.list_rows(conn, which, limit=_TASKS_MAX)
            return [row for row in rows if row.state.demand.requirements.gpu_count]

        running = await self._database.read(read)
        return GpuStatus(
            gpu_figures(self._nodes.views()),
            tuple(
                GpuTask(row, self._nodes.memory_peak_bytes(row.node_id or "", row.lease_id or ""))
                for row in running
            ),
        )
