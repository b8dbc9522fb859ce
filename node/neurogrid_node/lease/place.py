"""Where a lease is carried out: a container on this machine (`sandbox.Sandbox`), or a replica that runs here (`use.place`)."""

from typing import Protocol

from neurogrid_marketplace.checkpoint import Checkpoint
from neurogrid_marketplace.lease import Collected, NodeLease, Ran, Served
from neurogrid_marketplace.messages import Start
from neurogrid_marketplace.service import Service
from neurogrid_marketplace.usage import LeaseUsage

from .preparation import Prepared
from .progress import Progress


class Place(Protocol):
    """What a lease's runner performs its actions on. Every operation may be repeated after a crash."""

    def progress(self, lease_id: str) -> Progress:
        """What the program, or the preparation, says of itself."""

    def is_ready(self, lease_id: str) -> bool:
        """Whether its service was well when it was looked at last."""

    def memory_peak_bytes(self, lease_id: str) -> int:
        """The most memory seen in use."""

    def usage(self, lease_id: str) -> LeaseUsage | None:
        """What its job uses; None where nobody can tell."""

    def served(self, lease_id: str) -> Served | None:
        """Of a lease for use: what it has passed on; None of any other."""

    def ends(self, lease_id: str) -> None:
        """It is decided that it ends, and `stop` follows: begin nothing new."""

    def asks_for_checkpoint(self, lease_id: str) -> bool:
        """Whether the program has asked for one since this was asked last."""

    async def log_grown(self, lease_id: str, beyond_bytes: int) -> None:
        """Wait for more log than that."""

    async def read_log(self, lease_id: str, offset: int, max_bytes: int) -> str:
        """A piece of the log."""

    async def prepare(self, lease: NodeLease, start: Start, *, resumed: bool) -> Prepared:
        """Get it running; raises `PrepareError`."""

    async def watch(self, lease_id: str, service: Service | None = None) -> Ran:
        """Follow it to its end."""

    async def pause(self, lease_id: str) -> None:
        """Make it stand still."""

    async def resume(self, lease_id: str) -> None:
        """Let it go on."""

    async def warn(self, lease_id: str, stops_at_ms: int) -> None:
        """Let the job know when it will be stopped."""

    async def stop(self, lease_id: str) -> None:
        """End it."""

    async def checkpoint(self, lease: NodeLease, start: Start, number: int) -> Checkpoint | None:
        """Take a checkpoint, and upload it; None if there is none."""

    async def collect(
        self, lease: NodeLease, start: Start, *, keep: bool, checkpoint: int = 0
    ) -> Collected:
        """What it has left."""

    async def clear(self, lease_id: str) -> None:
        """Remove what it used of the machine."""

    async def forget(self, lease_id: str) -> None:
        """Remove the rest."""
