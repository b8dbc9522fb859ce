"""What a node needs of whatever runs its jobs, and what an engine says it can do. docs/fleet.md.

One contract, several engines: `tests/engine/test_contract.py` holds each of them to it. Every operation
may be repeated: creating finds the job that exists, removing one that is gone succeeds, and a daemon
that was killed lists its jobs and goes on. All raise `EngineError` (errors.py).
"""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, Final, Protocol

from neurogrid_marketplace.image_name import ImageName
from neurogrid_marketplace.registry_auth import RegistryAuth
from neurogrid_node.container.execs import Execs
from neurogrid_node.container.link_profile import LinkSpec
from neurogrid_node.container.log_cursor import LOG_START, LogCursor
from neurogrid_node.container.logs import LogChunk
from neurogrid_node.container.outcome import Exit
from neurogrid_node.container.pull import PullProgress
from neurogrid_node.container.spec import ContainerSpec, ImageInfo
from neurogrid_node.container.usage import Usage
from neurogrid_node.container.views import ContainerView, EngineInfo, LeaseContainer

# What a follower forwards of one job at most.
LOG_BYTES_MAX: Final = 64 << 20


@dataclass(frozen=True, slots=True)
class Abilities:
    """What an engine can do beside running a job and telling how it ended; `JobEngine.execs` is one more.
    The offer follows: what is missing here is not advertised, and never done in a weaker way.

    Attributes:
        gpus: gives a job exactly the GPUs that are named, of the machine that this daemon watches and cleans.
        freeze: makes a job stand still and go on. Without it there are no checkpoints, and a job whose
            vouchers stay away is ended where it would be paused.
        links: runs containers whose network a job shares, where this daemon can enter it: gangs, hosts to
            reach, ports.
        hard_disk: sees the filesystems that this daemon mounts; else a job's disk is watched.
        usage: tells what a running job uses.
        logins: has an image that needs a login wherever the job runs.
        oom: tells whether the kernel ended a job for its memory.
        own_network: gives a job a network of nothing but itself. Else its policy lets nothing through, which
            each machine is tried for.
        own_pids: holds each job to the processes that it was given. Else to those that each machine gives any.
    """

    gpus: bool
    freeze: bool
    links: bool
    hard_disk: bool
    usage: bool
    oom: bool
    logins: bool
    own_network: bool = True
    own_pids: bool = True


class JobEngine(Protocol):
    """Runs the jobs of one node. A job's id is what `create` returned, or its container's name."""

    @property
    def node_id(self) -> str:
        """This node's peer id, by which its jobs are known."""

    @property
    def info(self) -> EngineInfo:
        """Version, runtimes, and what it cannot enforce."""

    @property
    def abilities(self) -> Abilities:
        """What it can do."""

    @property
    def connections(self) -> int:
        """How often it was connected: once more is a restart."""

    @property
    def execs(self) -> Execs | None:
        """Commands beside jobs; None where there are none."""

    async def image(self, reference: str) -> ImageInfo | None:
        """The image as it is here, or None."""

    async def images(self) -> tuple[str, ...]:
        """The names of the images that need no pull."""

    async def pull(
        self,
        reference: str,
        report: Callable[[PullProgress], None],
        *,
        stall_timeout_s: float,
        max_bytes: int | None = None,
        auth: RegistryAuth | None = None,
    ) -> ImageInfo:
        """Fetch an image: however long it takes, while bytes keep coming.

        Args:
            auth: whom the registry is asked as; None: as nobody, never as the machine's owner.

        Raises:
            ImageError: see errors.py.
        """

    async def tag(self, image_id: str, name: ImageName) -> None:
        """Let an image that is here be known by this name; one that keeps no names does nothing."""

    async def image_ids(self) -> frozenset[str]:
        """Of all images that are here, with names and without."""

    async def remove_image(self, name: str) -> None:
        """Take this name away, and the image with its last one.

        Raises:
            ContainerGone: there is no such name.
            EngineRefused: a container needs it.
        """

    def profile_report(self, spec: ContainerSpec) -> dict[str, Any]:
        """What the job is allowed, for the signed receipt; see `profile.profile_report`."""

    async def create(self, spec: ContainerSpec) -> str:
        """Make the lease's job without starting it; its id. A second call finds what the first one made.

        Raises:
            EngineRefused: ``container_conflict`` when the name is taken by something else.
            ImageNotFound: the image was removed meanwhile.
        """

    async def start(self, job_id: str) -> None:
        """Start it; returns when its process runs. Starting a running one does nothing.

        Raises:
            EngineRefused, CommandFailed, ImageError: it cannot be started here.
        """

    async def wait(self, job_id: str) -> Exit:
        """How it ended, once it has.

        Raises:
            EngineLost: the engine has not answered for the grace period.
            ContainerGone: it was removed.
        """

    async def inspect(self, job_id: str) -> ContainerView:
        """What the engine says about it now.

        Raises:
            ContainerGone: there is no such job.
        """

    async def pause(self, job_id: str) -> None:
        """Freeze it. Raises `EngineRefused` (``not_by_this_engine``) without the ability."""

    async def unpause(self, job_id: str) -> None:
        """Let it go on; one that does not stand still is left alone."""

    async def stop(self, job_id: str, *, grace_s: float) -> None:
        """Ask it to end, and end it after ``grace_s``. Returns when it has ended."""

    async def kill(self, job_id: str) -> None:
        """End it. One that has ended, or is gone, is left alone."""

    async def remove(self, job_id: str) -> None:
        """Remove it, running or not; nothing of it runs when this returns."""

    async def list_leases(self) -> tuple[LeaseContainer, ...]:
        """Every job of this node, ended ones too: what a restarted daemon adopts."""

    def follow_usage(self, job_id: str) -> AsyncIterator[Usage]:
        """A sample a second until it ends; none without the ability."""

    def follow_logs(
        self, job_id: str, *, cursor: LogCursor = LOG_START, max_bytes: int = LOG_BYTES_MAX
    ) -> AbstractAsyncContextManager[AsyncIterator[LogChunk]]:
        """Its output so far and as it comes, until it ends: ``async with ... as chunks``."""

    async def create_link(self, spec: LinkSpec) -> str:
        """Make a job's link, as `create` does the job. Raises `EngineRefused` (``not_by_this_engine``)
        without the ability."""

    async def list_links(self, name_prefix: str) -> tuple[LeaseContainer, ...]:
        """Every link of a kind of this node, ended ones too."""
