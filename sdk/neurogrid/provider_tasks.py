"""The tasks of a provider's program: awarded, accepted, started, completed, paid. A task's id is its lease's."""

import tempfile
import time
from collections.abc import Iterator, Mapping
from decimal import Decimal
from os import PathLike
from pathlib import Path

import msgspec

from neurogrid_marketplace.execution import metered_ms
from neurogrid_marketplace.faults import Outcome
from neurogrid_marketplace.job import Job
from neurogrid_marketplace.messages import Award
from neurogrid_marketplace.offer import LeasePhase
from neurogrid_marketplace.registry_auth import REGISTRY_AUTH_PATH

from .errors import NotFoundError, WaitTimeout
from .machine.auctions import Offered
from .machine.bidding import Taken
from .machine.files import LeaseFiles, files_below, result_at
from .machine.journal import Held
from .machine.machine import Machine, conflict
from .machine.running import Running, note_of
from .models.held_tasks import HeldStatus, HeldTask, TaskInput, TaskJob
from .provider import ProviderTasks
from .provider_resources import RunningResources
from .transport import Transport

_STATUS: dict[LeasePhase, HeldStatus] = {
    LeasePhase.ACCEPTED: "accepted",
    LeasePhase.PREPARING: "ready",
    LeasePhase.RUNNING: "running",
    LeasePhase.PAUSED: "running",
    LeasePhase.STOPPING: "stopping",
    LeasePhase.COLLECTING: "collecting",
    LeasePhase.REPORTED: "reported",
    LeasePhase.CLAIMING: "claiming",
    LeasePhase.CLOSED: "closed",
}
_BEFORE_JOB = frozenset({LeasePhase.ACCEPTED})
_MICRO = Decimal(1_000_000)
_GB = 1e9
# How often it is looked for offers.
LOOK_S = 0.05


class RunningTasks(ProviderTasks):
    """What the account's machines do; those of this program's machines are done by it."""

    def __init__(self, transport: Transport, resources: RunningResources) -> None:
        super().__init__(transport)
        self._resources = resources

    # --- which there are ---------------------------------------------------------------------------

    def offers(self, *, timeout_seconds: float | None = None) -> Iterator[HeldTask]:
        """Tasks that this program's machines were awarded, as they come, each once: `accept` it within two seconds.

        A task that is not accepted goes to the next bid, and the machine's word is worth less in later auctions.

        Args:
            timeout_seconds: end when none came for so long; None: never.
        """
        shown: dict[str, None] = {}
        waiting_since_s = time.monotonic()
        while timeout_seconds is None or time.monotonic() - waiting_since_s < timeout_seconds:
            for task in self.new_offers(shown):
                yield task
                waiting_since_s = time.monotonic()
            time.sleep(LOOK_S)

    def new_offers(self, shown: dict[str, None]) -> list[HeldTask]:
        """What is offered now and was not shown before; it is noted as shown."""
        found = []
        for machine, _ in self._resources.all_running():
            for lease_id, offered in machine.offered().items():
                if lease_id in shown:
                    continue
                shown[lease_id] = None
                while len(shown) > 10_000:
                    del shown[next(iter(shown))]
                found.append(_of_offer(machine, offered))
        return found

    def held(self) -> list[HeldTask]:
        """What this program's machines have accepted and are not paid for yet, also before it was started anew."""
        found = []
        for machine, _ in self._resources.all_running():
            with machine.changed:
                found += [_of_held(machine, held) for held in machine.leases.held.values()]
        return found

    def get(self, task_id: str) -> HeldTask:
        """One that is offered, held, or over not long ago.

        Raises:
            NotFoundError: this program has none such (any more).
        """
        for machine, _ in self._resources.all_running():
            offered = machine.offered().get(task_id)
            if offered is not None:
                return _of_offer(machine, offered)
        machine, running = self._of(task_id)
        return _of_held(machine, running.find(task_id))

    # --- from the award to the pay -------------------------------------------------------------------

    def accept(self, task_id: str, *, resource_id: str) -> HeldTask:
        """Take a task that was awarded; it is on disk before the coordinator hears of it. Again, it changes nothing.

        Raises:
            NotFoundError: this program runs no such resource, or the task is not offered to it (any more).
            ConflictError: too late: the task goes to the next bid.
        """
        machine, _ = self._resources.running(resource_id)
        return _of_held(machine, machine.accept(task_id))

    def wait_for_job(self, task_id: str, *, timeout_seconds: float = 600) -> TaskJob:
        """What is to be run, once its escrow is open.

        Raises:
            NotFoundError: this program has no such task.
            ConflictError: the coordinator has ended it meanwhile, or (with ``rpc_url``) the chain shows no escrow that could
                pay it: nothing is to be run.
            WaitTimeout: it has not come in time.
        """
        machine, running = self._of(task_id)
        deadline_s = time.monotonic() + timeout_seconds
        with machine.changed:
            while True:
                held = running.find(task_id)
                if held.lease.phase not in _BEFORE_JOB:
                    break
                left_s = deadline_s - time.monotonic()
                if left_s <= 0:
                    raise WaitTimeout(f"the job of task {task_id} has not come")
                machine.changed.wait(min(left_s, 1.0))
        running.see_escrow(task_id)
        held = running.find(task_id)
        start = held.lease.start
        if start is None or held.lease.phase is not LeasePhase.PREPARING:
            raise conflict(f"task {task_id} is {_STATUS[held.lease.phase]}: nothing is to be run")
        return _job(start.job)

    def download_inputs(self, task_id: str, directory: str | PathLike[str]) -> list[Path]:
        """Write a task's inputs below a directory, which belongs at ``/inputs``; each is checked against its hash.

        Raises:
            ConflictError: its job is not here yet.
            IntegrityError: one is not what was named, or sealed inputs do not open: fail it with INPUT_UNREADABLE.
            ApiError, ConnectionFailed, OSError: one can't be had.
        """
        _, running = self._of(task_id)
        start = running.start_message(task_id)
        files = LeaseFiles(self._transport, start.artifacts_token)
        # What opens a private registry is no file of the job's.
        inputs = [each for each in start.job.inputs if each.path != REGISTRY_AUTH_PATH]
        return files.fetch(inputs, Path(directory), running.content_key(task_id))

    def start(
        self,
        task_id: str,
        *,
        container_id: str = "",
        resource_usage: Mapping[str, object] | None = None,
    ) -> HeldTask:
        """The job runs: from now on it is paid. Again, it changes nothing.

        Args:
            container_id: kept for this program; resource_usage: shown to the client. They prove nothing.

        Raises:
            NotFoundError: this program has no such task.
            ConflictError: its job is not here yet, or it is over.
        """
        machine, running = self._of(task_id)
        return _of_held(machine, running.begun(task_id, container_id, note_of("", resource_usage)))

    def update_progress(
        self,
        task_id: str,
        progress: float,
        metrics: Mapping[str, object] | None = None,
        message: str = "",
    ) -> HeldTask:
        """Let the client see how far it is. The answer says whether it has to stop: ``status``, ``stop_reason``.

        Args:
            progress: per cent.

        Raises:
            ValueError: it is none.
            NotFoundError: this program has no such task.
            ConflictError: it does not run.
        """
        if not 0 <= progress <= 100:
            raise ValueError(f"progress is 0 to 100, and not {progress:g}")
        machine, running = self._of(task_id)
        note = note_of(message, metrics)
        return _of_held(machine, running.progressed(task_id, round(progress * 10), note))

    def log(self, task_id: str, text: str) -> None:
        """Write on in a task's log, which its client reads as it grows; the first 16 MiB of it.

        Raises:
            NotFoundError: this program has no such task.
            ConflictError: it is over.
        """
        _, running = self._of(task_id)
        running.log(task_id, text)

    def complete(
        self,
        task_id: str,
        result_hash: str | None = None,
        result_storage_url: str | None = None,
        execution_time_seconds: float | None = None,
        *,
        outputs: str | PathLike[str] | None = None,
    ) -> HeldTask:
        """The job has ended well: its outputs are uploaded, and then its end is told. Again, it changes nothing.

        Args:
            result_hash: SHA-256 of the result, hex, which is checked.
            result_storage_url: where the result is: it is fetched from there (without any key) and uploaded.
            execution_time_seconds: how long it ran, where that is less than the time since its start.
            outputs: a directory whose files are the outputs.

        Raises:
            ValueError: a hash without a file that has it.
            IntegrityError: the result has another hash.
            NotFoundError: this program has no such task.
            ConflictError: it was not started, it ran for less, or has ended otherwise.
            ApiError, ConnectionFailed, OSError: an output can't be read or uploaded. The task waits: complete it again.
        """
        machine, running = self._of(task_id)
        held = running.find(task_id)
        if held.lease.phase in (LeasePhase.RUNNING, LeasePhase.PAUSED, LeasePhase.STOPPING):
            _refuse_bare_hash(result_hash, result_storage_url, outputs)
        held = running.ended(task_id, Outcome.COMPLETED, 0, "", execution_time_seconds)
        if held.lease.phase is not LeasePhase.COLLECTING:
            return _of_held(machine, held)
        start = running.start_message(task_id)
        with tempfile.TemporaryDirectory(prefix="neurogrid-") as fetched:
            files = [] if outputs is None else files_below(Path(outputs))
            if result_hash is not None and result_storage_url is not None:
                files.append(result_at(result_storage_url, result_hash, Path(fetched)))
            put = LeaseFiles(self._transport, start.artifacts_token).put(files)
        if result_hash is not None and result_hash not in {each.sha256 for each in put}:
            raise ValueError(
                f"no output has the hash {result_hash}; the task waits: complete it again"
            )
        return _of_held(machine, running.reported(task_id, put))

    def fail(
        self,
        task_id: str,
        error_code: str = "EXECUTION_ERROR",
        error_message: str = "",
        *,
        exit_code: int = 1,
    ) -> HeldTask:
        """The job has failed, or could not be started. Again, it changes nothing.

        Args:
            error_code: ``EXECUTION_ERROR``: its program ended with an error, which is paid like any run. The others are
                the market's outcomes (docs/providers.md says whose fault each is).
            error_message: for the client.
            exit_code: of its program.

        Raises:
            ValueError: it is no error code that a provider may say, or not of a task that has run (or not).
            NotFoundError: this program has no such task.
            ConflictError: it has ended otherwise.
        """
        machine, running = self._of(task_id)
        return _of_held(machine, running.failed(task_id, error_code, error_message, exit_code))

    def wait_until_paid(self, task_id: str, *, timeout_seconds: float = 300) -> HeldTask:
        """The task once its escrow is closed and its machine free of it.

        Raises:
            NotFoundError: this program has no such task.
            WaitTimeout: that has not come in time.
        """
        machine, running = self._of(task_id)
        deadline_s = time.monotonic() + timeout_seconds
        with machine.changed:
            while True:
                held = running.find(task_id)
                if held.lease.phase is LeasePhase.CLOSED:
                    return _of_held(machine, held)
                left_s = deadline_s - time.monotonic()
                if left_s <= 0:
                    raise WaitTimeout(f"task {task_id} is {_STATUS[held.lease.phase]} still")
                machine.changed.wait(min(left_s, 1.0))

    def _of(self, task_id: str) -> tuple[Machine, Running]:
        for machine, running in self._resources.all_running():
            with machine.changed:
                if machine.leases.find(task_id) is not None:
                    return machine, running
        raise NotFoundError(
            f"this program has no task {task_id[:80]} (any more): `held()` lists those that it has",
            code="NOT_FOUND",
            status=404,
            details={"task_id": task_id[:80]},
        )


def _refuse_bare_hash(
    result_hash: str | None, url: str | None, outputs: str | PathLike[str] | None
) -> None:
    if result_hash is not None and url is None and outputs is None:
        raise ValueError(
            "a hash alone is no result: name the directory with the outputs, or result_storage_url"
        )
    if url is not None and result_hash is None:
        raise ValueError("result_storage_url needs its result_hash, to be checked by")


def _of_offer(machine: Machine, offered: Offered) -> HeldTask:
    return _told(machine, offered.award, offered.taken, "offered")


def _of_held(machine: Machine, held: Held) -> HeldTask:
    lease = held.lease
    results = [event.result for event in lease.events if event.result is not None]
    return msgspec.structs.replace(
        _told(machine, lease.award, held.taken, _STATUS[lease.phase]),
        job=None if lease.start is None else _job(lease.start.job),
        container_id=held.container_id,
        progress=held.progress_permille / 10,
        metered_seconds=metered_ms(lease, time.time_ns() // 1_000_000) / 1000,
        earned=Decimal(lease.voucher.cumulative_micro_usdc if lease.voucher else 0) / _MICRO,
        log_bytes=machine.log_bytes(lease.lease_id),
        stop_reason=None if lease.stop_reason is None else lease.stop_reason.value,
        outcome=results[-1].outcome.value if results else None,
        transaction=lease.claim_transaction or None,
    )


def _told(machine: Machine, award: Award, taken: Taken, status: HeldStatus) -> HeldTask:
    need = taken.requirements
    return HeldTask(
        id=award.lease_id,
        resource_id=machine.id,
        status=status,
        price_per_hour=Decimal(award.price_micro_usdc_per_hour) / _MICRO,
        max_cost=Decimal(award.max_cost_micro_usdc) / _MICRO,
        timeout_seconds=award.timeout_s,
        cpu_cores=need.cpu_millis / 1000,
        ram_gb=need.memory_bytes / _GB,
        storage_gb=need.disk_bytes / _GB,
        gpus=[gpu.uuid for gpu in taken.gpus],
    )


def _job(job: Job) -> TaskJob:
    return TaskJob(
        docker_image=job.image,
        command=list(job.command),
        environment=dict(job.environment),
        inputs=[
            TaskInput(path=each.path, sha256=each.sha256, size=each.size_bytes)
            for each in job.inputs
        ],
    )
