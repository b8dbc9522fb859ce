"""From a lease to a running container: escrow, image and files at once; then create and start.

What a coordinator sends is checked against what was bid on: the image against the owner's list, the
inputs against the disk that is held for them.
"""

import json
import shutil
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx
import trio
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from neurogrid_marketplace.errors import SealBroken
from neurogrid_marketplace.faults import Outcome
from neurogrid_marketplace.input_seal import SealTarget, unwrap_key
from neurogrid_marketplace.lease import ContainerRunning, NodeLease
from neurogrid_marketplace.messages import Start

from .artifacts import ArtifactError, Artifacts
from .bidder import Policy
from .chain import EscrowUnseen
from .container import Engine
from .container_errors import (
    CommandFailed,
    EngineError,
    EngineRefused,
    ImageError,
    ImageNotFound,
    NoDiskForImage,
)
from .container_profile import ContainerSpec, ImageInfo, SpecError, profile_report
from .container_pull import PullProgress
from .container_views import ContainerState
from .earnings import Earnings
from .gangs import Gangs
from .job_state import JobState
from .journal import Journal, JournalError, JournalThread
from .reservations import Reservation
from .start_history import StartTook
from .workspace import DiskError, Workspace, Workspaces

# How long one input is tried while the coordinator, which has just sent the start, does not answer.
_INPUT_PATIENCE_S = 120
# Unpacked, layers take two to three times what is downloaded.
_UNPACKED_RATIO = 3
_NOTE_CHARS_MAX = 200
# How often those in whose place a job comes are looked at.
_ROOM_S = 0.5


class PrepareError(Exception):
    """A job could not be made ready to run; ``outcome`` says whose fault that is."""

    def __init__(self, outcome: Outcome, message: str) -> None:
        super().__init__(message)
        self.outcome = outcome


@dataclass(frozen=True, slots=True)
class Prepared:
    """A container that runs.

    Attributes:
        took: how long; None where an earlier try was continued, or others had to go first, which
            says nothing about the next job.
    """

    running: ContainerRunning
    took: StartTook | None


@dataclass(frozen=True, slots=True)
class Limits:
    """What the owner set for every job.

    Attributes:
        pids: processes and threads one job may have.
        stall_timeout_s: the longest silence of a pull.
    """

    pids: int
    stall_timeout_s: float


class Preparation:
    """Makes jobs ready. Every step may be repeated after a crash and finds what is there."""

    def __init__(
        self,
        *,
        engine: Engine,
        workspaces: Workspaces,
        earnings: Earnings,
        gangs: Gangs,
        journal: JournalThread,
        http: httpx.AsyncClient,
        policy: Policy,
        limits: Limits,
        held: Callable[[str], Reservation | None],
        own_hosts: Callable[[str], Sequence[str]],
        now_ms: Callable[[], int],
        make_room: Callable[[str], bool] = lambda _: True,
    ) -> None:
        """
        Args:
            held: what is reserved for a lease.
            make_room: asks those in whose place a lease comes to go; whether they are gone.
            own_hosts: of a coordinator, see `artifact_host.find_host`.
        """
        self._engine = engine
        self._workspaces = workspaces
        self._earnings = earnings
        self._gangs = gangs
        self._journal = journal
        self._http = http
        self._policy = policy
        self._limits = limits
        self._held = held
        self._own_hosts = own_hosts
        self._now_ms = now_ms
        self._make_room = make_room

    async def prepare(
        self, lease: NodeLease, start: Start, job: JobState, *, resumed: bool
    ) -> Prepared:
        """Get everything, then create and start the container.

        Args:
            resumed: an earlier life of this daemon may have got anywhere.

        Raises:
            PrepareError: with the outcome to report.
        """
        try:
            return await self._prepare(lease, start, job, resumed)
        except _EXPECTED as error:
            raise _as_prepare_error(error) from error
        finally:
            job.note = ""

    async def _prepare(
        self, lease: NodeLease, start: Start, job: JobState, resumed: bool
    ) -> Prepared:
        began_s = trio.current_time()

        def passed_ms() -> int:
            return round((trio.current_time() - began_s) * 1000)

        held = self._held(lease.lease_id)
        assert held is not None, "a lease holds its resources until its container is gone"
        self._check(start, held)
        image: ImageInfo | None = None
        workspace: Workspace | None = None
        claim_until_ms = 0
        pull_ms = pulled_bytes = inputs_ms = 0
        has_room = self._make_room(lease.lease_id)

        async def see_escrow() -> None:
            nonlocal claim_until_ms
            claim_until_ms = await self._earnings.await_escrow(lease, start)

        async def get_image() -> None:
            nonlocal image, pull_ms, pulled_bytes
            image = await self._image(start.job.image)
            if image is None:
                image, pulled_bytes = await self._pull(start.job.image, job)
                pull_ms = passed_ms()

        async def get_files() -> None:
            nonlocal workspace, inputs_ms
            # Its disk, too, is another's before.
            await self._until_room(lease.lease_id, job)
            workspace = await self._files(lease, start, held, job)
            inputs_ms = passed_ms() if start.job.inputs else 0

        await _at_once(see_escrow, get_image, get_files)
        assert image is not None, "it was got"
        assert workspace is not None, "it was made"
        link = ""
        if start.gang is not None:
            link = await self._gangs.join(lease.lease_id, lease.coordinator, start.gang)
        spec = self._spec(lease, start, held, image, workspace, link)
        # Before the container runs: a result must never lack the profile it ran under.
        profile = json.dumps(profile_report(spec), sort_keys=True)
        await self._journal.call(Journal.save_profile, lease.lease_id, profile)
        job.container_id = await self._engine.create(spec)
        is_new = True
        if resumed:
            view = await self._engine.inspect(job.container_id)
            is_new = view.state is ContainerState.CREATED
            if view.ended is not None:
                # It ran while we were dead: starting it would run the job twice.
                started_at_ms = view.ended.started_at_ns // 1_000_000
                return Prepared(ContainerRunning(started_at_ms, claim_until_ms), None)
        if is_new:
            # Not of one that runs: it may have ended by then, and would run again.
            await self._engine.start(job.container_id)
        took = StartTook(
            total_ms=passed_ms(),
            image=start.job.image,
            pull_ms=pull_ms,
            pulled_bytes=pulled_bytes,
            inputs_ms=inputs_ms,
            input_bytes=sum(wanted.size_bytes for wanted in start.job.inputs),
        )
        running = ContainerRunning(self._now_ms(), claim_until_ms)
        return Prepared(running, None if resumed or not has_room else took)

    async def _until_room(self, lease_id: str, job: JobState) -> None:
        """Wait until those in whose place the lease comes are gone. The deadline is the caller's."""
        while not self._make_room(lease_id):
            job.note = "waiting for preemptible jobs to be gone"
            await trio.sleep(_ROOM_S)

    def _check(self, start: Start, held: Reservation) -> None:
        if not self._policy.allows_image(start.job.image):
            raise PrepareError(
                Outcome.JOB_REFUSED, f"{start.job.image} is not on the list of this node's owner"
            )
        if sum(wanted.size_bytes for wanted in start.job.inputs) > held.input_bytes:
            raise PrepareError(Outcome.INPUT_UNAVAILABLE, "more input than was auctioned")

    async def _image(self, reference: str) -> ImageInfo | None:
        try:
            return await self._engine.image(reference)
        except EngineRefused as error:
            raise PrepareError(Outcome.IMAGE_NOT_FOUND, str(error)) from error

    async def _pull(self, reference: str, job: JobState) -> tuple[ImageInfo, int]:
        """The image, and how many compressed bytes came, as far as the engine told."""
        if not self._policy.may_pull:
            raise PrepareError(Outcome.IMAGE_NOT_FOUND, f"{reference} is not on this node")
        job.note = f"pulling {reference}"[:_NOTE_CHARS_MAX]
        pulled_bytes = 0

        def report(progress: PullProgress) -> None:
            nonlocal pulled_bytes
            pulled_bytes = progress.done_bytes
            job.note = f"pulling {reference}: {progress}"[:_NOTE_CHARS_MAX]

        image = await self._engine.pull(
            reference,
            report,
            stall_timeout_s=self._limits.stall_timeout_s,
            max_bytes=await trio.to_thread.run_sync(_room_for_image, self._engine.info.data_root),
        )
        return image, pulled_bytes

    async def _files(
        self, lease: NodeLease, start: Start, held: Reservation, job: JobState
    ) -> Workspace:
        workspace = await self._workspaces.create(lease.lease_id, held.need.disk_bytes)
        artifacts = Artifacts(
            self._http,
            start.artifacts_url,
            start.artifacts_token,
            coordinator=lease.coordinator,
            own_hosts=self._own_hosts(lease.coordinator),
            patience_s=_INPUT_PATIENCE_S,
        )
        content_key = await self._content_key(lease, start) if start.job.is_sealed else b""
        for wanted in start.job.inputs:
            job.note = f"fetching {wanted.path}"[:_NOTE_CHARS_MAX]
            await artifacts.fetch(wanted, workspace.inputs, content_key)
        return workspace

    async def _content_key(self, lease: NodeLease, start: Start) -> bytes:
        """The key to the sealed inputs, which the client has wrapped to this lease's.

        Raises:
            SealBroken: it is not for this lease.
        """
        secret = await self._journal.call(Journal.sealing_key, lease.lease_id)
        if not secret or not start.wrapped_key:
            raise SealBroken("the inputs are sealed, and no key to them came")
        target = SealTarget(
            lease.lease_id, self._engine.node_id, lease.award.job_hash, lease.sealing_key
        )
        return unwrap_key(start.wrapped_key, X25519PrivateKey.from_private_bytes(secret), target)

    def _spec(
        self,
        lease: NodeLease,
        start: Start,
        held: Reservation,
        image: ImageInfo,
        workspace: Workspace,
        link: str,
    ) -> ContainerSpec:
        return ContainerSpec(
            lease_id=lease.lease_id,
            node_id=self._engine.node_id,
            image=image,
            command=start.job.command or None,
            environment=tuple(start.job.environment.items()),
            cpu_millis=held.need.cpu_millis,
            memory_bytes=held.need.memory_bytes,
            pids=self._limits.pids,
            disk_bytes=held.need.disk_bytes,
            gpu_uuids=tuple(gpu.uuid for gpu in held.gpus),
            inputs_path=workspace.inputs,
            outputs_path=workspace.outputs,
            user=self._workspaces.user,
            place=start.gang,
            notice_path=workspace.notice if lease.reclaim_window_s else None,
            reclaim_window_s=lease.reclaim_window_s,
            network_of=link,
        )


_EXPECTED = (
    *(ArtifactError, DiskError, EngineError, EscrowUnseen, JournalError, OSError),
    *(SealBroken, SpecError),
)


async def _at_once(*steps: Callable[[], Awaitable[None]]) -> None:
    """Take the steps at the same time; the first failure ends the others and is what is raised."""
    failures: list[Exception] = []

    async def take(step: Callable[[], Awaitable[None]]) -> None:
        try:
            await step()
        except (*_EXPECTED, PrepareError) as error:
            failures.append(error)
            nursery.cancel_scope.cancel()

    async with trio.open_nursery() as nursery:
        for step in steps:
            nursery.start_soon(take, step)
    if failures:
        raise failures[0]


def _as_prepare_error(error: Exception) -> PrepareError:
    match error:
        case EscrowUnseen():
            outcome = Outcome.ESCROW_UNSEEN
        case ImageNotFound():
            outcome = Outcome.IMAGE_NOT_FOUND
        case NoDiskForImage():
            outcome = Outcome.START_FAILED
        case ImageError():
            outcome = Outcome.PULL_STALLED
        case CommandFailed():
            outcome = Outcome.COMMAND_NOT_FOUND
        case ArtifactError():
            outcome = Outcome.INPUT_UNAVAILABLE
        case SealBroken():
            outcome = Outcome.INPUT_UNREADABLE
        case SpecError():
            outcome = Outcome.JOB_REFUSED
        case _:
            outcome = Outcome.START_FAILED
    return PrepareError(outcome, str(error) or type(error).__name__)


def _room_for_image(data_root: str) -> int | None:
    """Compressed bytes that fit beside what is there; None where we cannot look."""
    if not data_root or not Path(data_root).is_dir():
        return None
    return shutil.disk_usage(data_root).free // _UNPACKED_RATIO
