"""Models that stay and are paid by what is asked of them: what is demanded, and what a node offers. Pure.

A *replica* is a job that serves a model at a port (`Demand.serves`): auctioned and paid by the hour like any other, and
its bid names unit prices that hold for its life. A *use lease* is what a client pays by (`Demand.use`): a lease on
the node of one replica, without a container of its own, whose meter counts units (docs/adr/0079-leases-that-count-use.md).
"""

from dataclasses import dataclass, field
from typing import Annotated, Final

from msgspec import Meta

from .errors import InvalidValue
from .fields import OMITTED, Bytes, Id, MicroUsdc, Sha256, Word
from .units import UnitPrices

# As many as a node says it serves.
MAX_MODELS = 256
# As many as a job has inputs.
MAX_WEIGHTS: Final = 256
UseIdleS = Annotated[int, Meta(ge=1, le=86_400)]


@dataclass(frozen=True, slots=True)
class WeightsFile:
    """A file of a model's weights, which is an input of a replica's job and may be on the node already."""

    sha256: Sha256
    size_bytes: Bytes


@dataclass(frozen=True, slots=True)
class Serves:
    """The job is a replica of a model.

    Attributes:
        model: its id in the coordinator's catalogue.
        max_prices: the most that a bid may ask for units.
        weights: those of its inputs that stay on a node for the next replica: what is there already need not be fetched.
    """

    model: Word
    max_prices: UnitPrices
    weights: Annotated[tuple[WeightsFile, ...], Meta(max_length=MAX_WEIGHTS)] = field(
        default=(), metadata=OMITTED
    )


@dataclass(frozen=True, slots=True)
class Use:
    """The lease is for asking one replica.

    Attributes:
        replica: the lease that the replica runs under.
        model: that it serves.
        prices: of units; exactly those that the replica's bid named.
        max_cost_micro_usdc: what the escrow will hold, and so the most that all use of the lease comes to.
        idle_s: without a request for so long, the node ends it.
    """

    replica: Id
    model: Word
    prices: UnitPrices
    max_cost_micro_usdc: MicroUsdc
    idle_s: UseIdleS = 300

    def __post_init__(self) -> None:
        if self.max_cost_micro_usdc < 1:
            raise InvalidValue("a lease for use has an escrow of at least a micro-USDC")


@dataclass(frozen=True, slots=True)
class ServingTerms:
    """How a node takes replicas.

    Attributes:
        retainer_micro_usdc_per_hour: what it asks for keeping one, whatever that one's size.
        models: those that its owner lets in; empty: any.
    """

    retainer_micro_usdc_per_hour: MicroUsdc
    models: Annotated[tuple[Word, ...], Meta(max_length=MAX_MODELS)] = ()

    def allows(self, model: str) -> bool:
        """Whether its owner lets this model in."""
        return not self.models or model in self.models
