"""What moves an api world's stored work forward, made over its parts and a database of its own or one that dies."""

from typing import TYPE_CHECKING

from neurogrid_coordinator.api.native.batch_sources import BatchSources
from neurogrid_coordinator.api.native.batch_views import results_file
from neurogrid_coordinator.api.native.schedule_requests import Templates
from neurogrid_coordinator.api.native.task_kinds import ByName, task_reader
from neurogrid_coordinator.batches.batch_runner import BatchRunner
from neurogrid_coordinator.batches.scheduler import Scheduler
from neurogrid_coordinator.files.uploads import Uploads
from neurogrid_coordinator.services.artifacts import Artifacts
from neurogrid_coordinator.services.balances import Balances
from neurogrid_coordinator.services.batch_intake import BatchIntake
from neurogrid_coordinator.services.batch_tasks import BatchTasks
from neurogrid_coordinator.services.batches import Batches
from neurogrid_coordinator.services.models import Models
from neurogrid_coordinator.services.task_changes import TaskChanges
from neurogrid_coordinator.services.tasks import Tasks
from neurogrid_coordinator.store.database import Database

if TYPE_CHECKING:
    from coordinator.api_world import World


class Loops:
    """The makers. Tests call `look` of what they make."""

    def __init__(self, world: "World", database: Database) -> None:
        self._world = world
        self._database = database
        self._balances = Balances(database, world.chain.funds)
        self._tasks = Tasks(
            database=database,
            feed=world.feed,
            terms=world.settings.terms,
            explain=world.market.explain,
            may_return=world.nodes.may_return,
            balances=self._balances,
            wake=lambda state: world.woken.append(state.task.task_id),
            request_cancel=world.request_cancel,
        )
        self._artifacts = Artifacts(
            database=database, blobs=world.blobs, tokens=world.tokens, limits=world.limits
        )
        self._models = Models(
            database=database,
            feed=world.feed,
            blobs=world.blobs,
            artifacts=self._artifacts,
            tasks=self._tasks,
            settings=world.settings.models,
            stopping=world.stopping,
        )
        by_name = ByName(world.settings.operations, world.settings.models)
        self._batch_tasks = BatchTasks(
            database, self._tasks, task_reader(by_name), self._models.keep
        )

    def task_changes(self, deciding_s: float) -> TaskChanges:
        """What changes tasks."""
        return TaskChanges(
            database=self._database,
            feed=self._world.feed,
            tasks=self._tasks,
            models=self._models,
            balances=self._balances,
            deciding_s=deciding_s,
        )

    def batch_runner(self) -> BatchRunner:
        """What moves batches."""
        return BatchRunner(
            database=self._database,
            feed=self._world.feed,
            tasks=self._tasks,
            batch_tasks=self._batch_tasks,
            balances=self._balances,
            request_cancel=self._world.request_cancel,
            now_ms=lambda: self._world.now_ms,
        )

    def scheduler(self) -> Scheduler:
        """What runs schedules."""
        world, database = self._world, self._database
        batches = Batches(database, world.feed)
        uploads = Uploads(world.uploads, writable=True)
        return Scheduler(
            database=database,
            feed=world.feed,
            intake=BatchIntake(database=database, feed=world.feed, tasks=self._batch_tasks),
            read_template=Templates(BatchSources(self._artifacts, world.blobs, uploads)).read,
            results=lambda account, batch_id: results_file(
                batches.results(account, batch_id), "csv", ""
            ),
            artifacts=self._artifacts,
            blobs=world.blobs,
            uploads=uploads,
            now_ms=lambda: world.now_ms,
        )
