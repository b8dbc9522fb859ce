"""From a lease to a running container: escrow, image and files at once; then create and start.

What a coordinator sends is checked against what was bid on: the image against the owner's list, the
inputs against the disk that is held for them.
"""

import json
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, replace

import httpx
import trio
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from neurogrid_marketplace.errors import InvalidValue, MalformedMessage, SealBroken
from neurogrid_marketplace.faults import Outcome
from neurogrid_marketplace.input_seal import SealTarget, unwrap_key
from neurogrid_marketplace.lease import ContainerRunning, NodeLease
from neurogrid_marketplace.messages import Start
from neurogrid_marketplace.network import missed
from neurogrid_marketplace.registry_auth import AUTH_BYTES_MAX, RegistryAuth, auth_input
from neurogrid_marketplace.resources import Gpu
from neurogrid_marketplace.sealed_file import sealed_size

from ..container.errors import (
    CommandFailed,
    EngineError,
    EngineRefused,
    ImageError,
    ImageNotFound,
    NoDiskForImage,
)
from ..container.image_cache import ImageCache
from ..container.job_engine import JobEngine
from ..container.pull import PullProgress
from ..container.pulls import Pulls
from ..container.spec import ContainerSpec, ImageInfo, SpecError
from ..container.views import ContainerState
from ..egress.jobs import JobNetworks
from ..files.artifacts import ArtifactError, Artifacts
from ..files.weights import Weights
from ..files.workspace import DiskError, Workspace, Workspaces
from ..gang.gangs import Gangs
from ..journal import Journal, JournalError, JournalThread
from ..machine.devices import DeviceGone, GpuDevices
from ..market.bidder import Policy
from ..market.reservations import Reservation
from ..market.start_history import StartTook
from ..money.chain import EscrowUnseen
from ..money.earnings import Earnings
from .checkpoints import Checkpoints
from .job_state import JobState

# How long one input is tried while the coordinator, which has just sent the start, does not answer.
_INPUT_PATIENCE_S = 120
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


class Preparation:
    """Makes jobs ready. Every step may be repeated after a crash and finds what is there."""

    def __init__(
        self,
        *,
        engine: JobEngine,
        images: ImageCache,
        pulls: Pulls,
        workspaces: Workspaces,
        weights: Weights,
        earnings: Earnings,
        gangs: Gangs,
        checkpoints: Checkpoints,
        networks: JobNetworks,
        journal: JournalThread,
        http: httpx.AsyncClient,
        policy: Policy,
        pids: int,
        held: Callable[[str], Reservation | None],
        devices: Callable[[Iterable[Gpu]], GpuDevices],
        own_hosts: Callable[[str], Sequence[str]],
        now_ms: Callable[[], int],
        make_room: Callable[[str], bool] = lambda _: True,
    ) -> None:
        """
        Args:
            pids: processes and threads that one job may have.
            held: what is reserved for a lease.
            devices: how GPUs are given to a container; raises `DeviceGone`.
            make_room: asks those in whose place a lease comes to go; whether they are gone.
            own_hosts: of a coordinator, see `artifact_host.find_host`.
        """
        self._engine = engine
        self._images = images
        self._pulls = pulls
        self._workspaces = workspaces
        self._weights = weights
        self._earnings = earnings
        self._gangs = gangs
        self._checkpoints = checkpoints
        self._networks = networks
        self._journal = journal
        self._http = http
        self._policy = policy
        self._pids = pids
        self._held = held
        self._devices = devices
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
        pull_ms = pulled_bytes = inputs_ms = fetched_bytes = 0
        has_room = self._make_room(lease.lease_id)

        async def see_escrow() -> None:
            nonlocal claim_until_ms
            claim_until_ms = await self._earnings.await_escrow(lease, start)

        async def get_image() -> None:
            nonlocal image, pull_ms, pulled_bytes
            image = await self._image(lease.lease_id, start.job.image)
            if image is None:
                image, pulled_bytes = await self._pull(lease, start, job)
                pull_ms = passed_ms()

        async def get_files() -> None:
            nonlocal workspace, inputs_ms, fetched_bytes
            # Its disk, too, is another's before.
            await self._until_room(lease.lease_id, job)
            workspace, fetched_bytes = await self._files(lease, start, held, job)
            inputs_ms = passed_ms() if fetched_bytes else 0

        await _at_once(see_escrow, get_image, get_files)
        assert image is not None, "it was got"
        assert workspace is not None, "it was made"
        link = ""
        if start.gang is not None:
            link = await self._gangs.join(lease.lease_id, lease.coordinator, start.gang)
        if start.job.network is not None:
            link = await self._networks.join(lease.lease_id, start.job.network, link)
        spec = self._spec(lease, start, held, image, workspace, link)
        try:
            job.container_id = await self._create(spec)
        except ImageNotFound:
            # Removed by whoever else uses this engine: fetched once more.
            image, _ = await self._pull(lease, start, job)
            job.container_id = await self._create(replace(spec, image=image))
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
            input_bytes=fetched_bytes,
        )
        running = ContainerRunning(self._now_ms(), claim_until_ms)
        return Prepared(running, None if resumed or not has_room else took)

    async def _create(self, spec: ContainerSpec) -> str:
        # Before the container runs: a result must never lack the profile it ran under.
        profile = json.dumps(self._engine.profile_report(spec), sort_keys=True)
        await self._journal.call(Journal.save_profile, spec.lease_id, profile)
        return await self._engine.create(spec)

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
        unreached = missed(self._policy.network, start.job.network)
        if unreached:
            raise PrepareError(Outcome.JOB_REFUSED, f"this node's owner {unreached}")
        if sum(wanted.size_bytes for wanted in start.job.inputs) > held.input_bytes:
            raise PrepareError(Outcome.INPUT_UNAVAILABLE, "more input than was auctioned")
        if start.resumed is not None and start.resumed.size_bytes > held.need.disk_bytes:
            raise PrepareError(Outcome.INPUT_UNAVAILABLE, "a checkpoint larger than its disk")

    async def _image(self, lease_id: str, reference: str) -> ImageInfo | None:
        try:
            return await self._images.here(lease_id, reference)
        except EngineRefused as error:
            raise PrepareError(Outcome.IMAGE_NOT_FOUND, str(error)) from error

    async def _pull(self, lease: NodeLease, start: Start, job: JobState) -> tuple[ImageInfo, int]:
        """The image, and how many compressed bytes came, as far as the engine told."""
        reference = start.job.image
        refused = self._policy.pull_refusal(reference)
        if refused:
            raise PrepareError(
                Outcome.IMAGE_NOT_FOUND, f"{reference} is not on this node, and {refused}"
            )

        def report(progress: PullProgress) -> None:
            job.note = f"pulling {reference}: {progress}"[:_NOTE_CHARS_MAX]

        pulled = await self._pulls.pull(
            lease.lease_id, reference, report, await self._registry_auth(lease, start)
        )
        return pulled.image, pulled.pulled_bytes

    async def _files(
        self, lease: NodeLease, start: Start, held: Reservation, job: JobState
    ) -> tuple[Workspace, int]:
        """Where its files lie, all that it begins from in their place, and how many bytes of that had to be fetched."""
        if not lease.serves:
            # What is kept for replicas is in nobody's way who pays now.
            await self._weights.make_room(held.disk_bytes)
        workspace = await self._workspaces.create(lease.lease_id, held.need.disk_bytes)
        artifacts = self._artifacts(lease, start)
        fetched_bytes = 0
        content_key = await self._content_key(lease, start) if start.job.is_sealed else b""
        for wanted in start.job.inputs:
            if wanted == auth_input(start.job):
                continue  # not the job's to see
            is_weights = bool(lease.serves) and not wanted.sealed
            if is_weights and await self._weights.place(
                lease.coordinator, wanted, workspace.inputs
            ):
                continue
            job.note = f"fetching {wanted.path}"[:_NOTE_CHARS_MAX]
            if is_weights:
                await self._weights.make_room(wanted.size_bytes)
            await artifacts.fetch(wanted, workspace.inputs, content_key)
            fetched_bytes += wanted.size_bytes
            if is_weights:
                await self._weights.keep(lease.coordinator, wanted, workspace.inputs)
        if start.resumed is not None:
            job.note = f"fetching checkpoint {start.resumed.sequence}"
            await self._checkpoints.restore(lease, start, workspace)
        return workspace, fetched_bytes

    def _artifacts(self, lease: NodeLease, start: Start) -> Artifacts:
        return Artifacts(
            self._http,
            start.artifacts_url,
            start.artifacts_token,
            coordinator=lease.coordinator,
            own_hosts=self._own_hosts(lease.coordinator),
            patience_s=_INPUT_PATIENCE_S,
        )

    async def _registry_auth(self, lease: NodeLease, start: Start) -> RegistryAuth | None:
        """The client's credentials for the image's registry; in memory alone, for one pull.

        Raises:
            SealBroken: what is sealed for this lease is none.
        """
        wanted = auth_input(start.job)
        if wanted is None:
            return None
        data = await self._artifacts(lease, start).read_sealed(
            wanted, await self._content_key(lease, start), sealed_size(AUTH_BYTES_MAX)
        )
        try:
            return RegistryAuth.from_bytes(data)
        except InvalidValue as error:
            raise SealBroken(f"input {wanted.path}: {error}") from error

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
        devices = self._devices(held.gpus)
        plan = start.job.checkpoint
        return ContainerSpec(
            lease_id=lease.lease_id,
            node_id=self._engine.node_id,
            image=image,
            command=start.job.command or None,
            environment=tuple(start.job.environment.items()),
            cpu_millis=held.need.cpu_millis,
            memory_bytes=held.need.memory_bytes,
            pids=self._pids,
            disk_bytes=held.need.disk_bytes,
            gpu_uuids=devices.uuids,
            render_nodes=devices.render_nodes,
            inputs_path=workspace.inputs,
            outputs_path=workspace.outputs,
            user=self._workspaces.user,
            place=start.gang,
            network=start.job.network,
            notice_path=workspace.notice if lease.reclaim_window_s else None,
            reclaim_window_s=lease.reclaim_window_s,
            network_of=link,
            checkpoint_path=workspace.checkpoint if plan is not None else None,
            checkpoint_target=plan.path if plan is not None else "",
            resumed=start.resumed.sequence if start.resumed is not None else 0,
            machine=held.machine,
        )


_EXPECTED = (
    *(ArtifactError, DeviceGone, DiskError, EngineError, EscrowUnseen, JournalError, OSError),
    *(MalformedMessage, SealBroken, SpecError),
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
        case ArtifactError() | MalformedMessage():
            outcome = Outcome.INPUT_UNAVAILABLE
        case DeviceGone():
            outcome = Outcome.GPU_LOST
        case SealBroken():
            outcome = Outcome.INPUT_UNREADABLE
        case SpecError():
            outcome = Outcome.JOB_REFUSED
        case _:
            outcome = Outcome.START_FAILED
    return PrepareError(outcome, str(error) or type(error).__name__)
