"""What a node offers: its hello and its heartbeats, and the view of it that the auction filters."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Annotated

from msgspec import Meta

from .fields import (
    OMITTED,
    Address,
    Bytes,
    Id,
    ImageRef,
    MicroUsdc,
    Millis,
    Multiaddr,
    PeerId,
    Permille,
    Text,
    Word,
)
from .gang import MAX_MEMBER_ADDRESSES
from .network import NetworkTerms
from .resources import Capacity, Requirements
from .serving import ServingTerms
from .spot import SpotTerms
from .usage import LeaseUsage

_GIB = 1024**3

# More than a machine of ours has; so many names of 512 characters fit a frame.
MAX_IMAGES = 512
# As NVIDIA writes its drivers' ("550.54.14"); empty: there is none.
DriverVersion = Annotated[str, Meta(pattern=r"^([0-9]{1,9}(\.[0-9]{1,9}){0,3})?\Z")]


@dataclass(frozen=True, slots=True)
class PriceList:
    """A node's asking prices, micro-USDC per hour; they add up (see `quote`)."""

    base_micro_usdc_per_hour: MicroUsdc = 0
    cpu_core_micro_usdc_per_hour: MicroUsdc = 0
    memory_gib_micro_usdc_per_hour: MicroUsdc = 0
    gpu_micro_usdc_per_hour: MicroUsdc = 0

    def quote(self, need: Requirements) -> int:
        """Price of ``need`` in micro-USDC per hour; each part is rounded up."""
        return (
            self.base_micro_usdc_per_hour
            + -(-self.cpu_core_micro_usdc_per_hour * need.cpu_millis // 1000)
            + -(-self.memory_gib_micro_usdc_per_hour * need.memory_bytes // _GIB)
            + self.gpu_micro_usdc_per_hour * need.gpu_count
        )


class LeasePhase(StrEnum):
    """Where the node is with a lease; the node's table is in `lease`."""

    ACCEPTED = "accepted"
    PREPARING = "preparing"
    RUNNING = "running"
    PAUSED = "paused"
    STOPPING = "stopping"
    COLLECTING = "collecting"
    REPORTED = "reported"
    CLAIMING = "claiming"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class LeaseStatus:
    """One lease in a heartbeat. The latest wins; nothing here needs to arrive.

    Attributes:
        metered_ms: running time metered so far.
        progress_permille: as the program itself says (``NEUROGRID_PROGRESS``), 0 where it doesn't.
        note: the program's latest progress words, or bytes pulled.
        ready: whether its service was well when it was looked at last.
        usage: what its job uses; None before it runs, and where nobody can tell.
    """

    lease_id: Id
    phase: LeasePhase
    metered_ms: Millis = 0
    progress_permille: Permille = 0
    note: Text = ""
    memory_peak_bytes: Bytes = 0
    ready: bool = False
    usage: LeaseUsage | None = None


@dataclass(frozen=True, slots=True)
class Offer:
    """Everything about a node that the market needs to know; the body of its hello.

    Attributes:
        node_id: the node's peer id.
        wallet: Solana address that owns its provider account.
        software: name and version of the daemon.
        total: what the machine offers in all; free: what is not reserved now.
        images: references and digests of images that are already there.
        accepting: False while draining or paused.
        enforcement: "hard" where the disk limit is a file system's own, else "watched".
        engine: container engine and version.
        summary: one line for people.
        gpu_driver: its version.
        runtimes: of the container engine, those that jobs run in.
        privacy: what the node does to keep a job's data to itself, each a word of its own.
        access: ways into a running job that the owner allows, each a word of its own.
        models: that need not be fetched.
        spot: how it takes preemptible tasks; None: as any other.
        reclaimable: what would be free if it took back what it may; None: no more than is.
        network: what its owner lets jobs reach; None: no network.
        addresses: where members of a gang that this node is in may dial it; none: through a relay alone.
        serving: how it takes replicas of models; None: it takes none.
        cpu_model: of its processors, as their maker names them; "" where it is not known, or of several machines.
    """

    node_id: PeerId
    wallet: Address
    software: Word
    region: Word
    total: Capacity
    free: Capacity
    prices: PriceList
    images: Annotated[tuple[ImageRef, ...], Meta(max_length=MAX_IMAGES)] = ()
    accepting: bool = True
    enforcement: Word = "watched"
    engine: Text = ""
    summary: Text = ""
    gpu_driver: DriverVersion = ""
    runtimes: Annotated[tuple[Word, ...], Meta(max_length=16)] = ()
    privacy: Annotated[tuple[Word, ...], Meta(max_length=16)] = ()
    access: Annotated[tuple[Word, ...], Meta(max_length=16)] = ()
    models: Annotated[tuple[Word, ...], Meta(max_length=256)] = ()
    spot: SpotTerms | None = None
    reclaimable: Capacity | None = None
    network: NetworkTerms | None = None
    addresses: Annotated[tuple[Multiaddr, ...], Meta(max_length=MAX_MEMBER_ADDRESSES)] = ()
    serving: ServingTerms | None = field(default=None, metadata=OMITTED)
    cpu_model: Text = field(default="", metadata=OMITTED)

    def quote(self, need: Requirements, *, preemptible: bool) -> int:
        """What the node asks for a task, micro-USDC per hour."""
        price = self.prices.quote(need)
        return self.spot.discounted(price) if self.spot and preemptible else price

    def has_image(self, image: ImageRef) -> bool:
        """Whether the image need not be pulled."""
        return image in self.images
