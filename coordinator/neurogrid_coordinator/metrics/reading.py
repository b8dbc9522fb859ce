"""A coordinator's numbers at one moment, and which metric each belongs to. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from neurogrid_marketplace.task import Phase
from neurogrid_telemetry.metrics import Sample

from ..market.reports import Traffic
from ..replicas.pool import CHECKED, RESULTS, STATES
from ..replicas.pool import Tally as ModelTally
from ..replicas.status import ModelStatus
from ..store.retention import KINDS
from . import catalogue as names
from .tally import Tally


@dataclass(slots=True)
class PassedOn:
    """How many requests one that does not lead has passed on to who leads.

    Attributes:
        unanswered: because nobody led, or who did was gone.
    """

    answered: int = 0
    unanswered: int = 0


@dataclass(frozen=True, slots=True)
class MarketReading:
    """What only the coordinator has that leads.

    Attributes:
        pruned: what `retention` has deleted since the start, by kind.
    """

    tally: Tally
    is_up: bool
    nodes: int
    traffic: Traffic
    payments_undecided: int
    pruned: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Reading:
    """See the module.

    Attributes:
        market: None of a coordinator that does not lead.
        api_connections: of clients, now.
        models: those that have replicas, of who leads.
    """

    peer_id: str
    version: str
    market: MarketReading | None
    tasks: Mapping[Phase, int]
    books_differ: int
    database_bytes: int
    api_connections: int
    passed_on: PassedOn
    models: Sequence[tuple[ModelStatus, ModelTally]] = ()


def samples(reading: Reading) -> Iterator[Sample]:
    """Everything that is known."""
    yield Sample(names.INFO, (reading.peer_id, reading.version), 1)
    yield Sample(names.LEADS, (), reading.market is not None)
    yield Sample(names.API_CONNECTIONS, (), reading.api_connections)
    yield Sample(names.PASSED_ON, ("answered",), reading.passed_on.answered)
    yield Sample(names.PASSED_ON, ("unanswered",), reading.passed_on.unanswered)
    for phase in Phase:
        yield Sample(names.TASKS, (phase.value,), reading.tasks.get(phase, 0))
    yield Sample(names.BOOKS_DIFFER, (), reading.books_differ)
    yield Sample(names.DATABASE_BYTES, (), reading.database_bytes)
    if reading.market is not None:
        yield from _of_market(reading.market)
    for status, tally in reading.models:
        yield from _of_model(status, tally)


def _of_market(reading: MarketReading) -> Iterator[Sample]:
    tally, traffic = reading.tally, reading.traffic
    yield Sample(names.MARKET_UP, (), reading.is_up)
    yield Sample(names.NODES, (), reading.nodes)
    yield Sample(names.CONNECTIONS, (), traffic.connections)
    yield Sample(names.LEASE_STREAMS, (), traffic.lease_streams)
    for reason, count in traffic.refused.items():
        yield Sample(names.REFUSED, (reason,), count)
    for ending, count in tally.ended.items():
        yield Sample(names.TASKS_ENDED, ending, count)
    for result in ("node_found", "no_node"):
        yield Sample(names.AUCTIONS, (result,), tally.auctions[result])
    for answer in ("taken", "refused"):
        yield Sample(names.AWARDS, (answer,), tally.awards[answer])
    yield Sample(names.AUCTION_SECONDS, (), tally.auction)
    yield Sample(names.START_SECONDS, (), tally.start)
    yield Sample(names.PAYMENTS_UNDECIDED, (), reading.payments_undecided)
    for kind in KINDS:
        yield Sample(names.PRUNED, (kind,), reading.pruned.get(kind, 0))


def _of_model(status: ModelStatus, tally: ModelTally) -> Iterator[Sample]:
    model = status.model_id
    for state in STATES:
        yield Sample(names.MODEL_REPLICAS, (model, state), status.count(state))
    yield Sample(names.MODEL_REPLICAS_WANTED, (model,), status.wanted)
    yield Sample(names.MODEL_REPLICAS_BEGUN, (model,), tally.begun)
    yield Sample(names.MODEL_REPLICAS_LOST, (model,), tally.lost)
    yield Sample(names.MODEL_WAITING, (model,), status.waiting)
    yield Sample(names.MODEL_AT_WORK, (model,), status.at_work)
    for result in RESULTS:
        yield Sample(names.MODEL_REQUESTS, (model, result), tally.requests[result])
    for result in CHECKED:
        yield Sample(names.MODEL_CHECKS, (model, result), tally.checks[result])
    yield Sample(names.MODEL_FIRST_BYTE_SECONDS, (model,), tally.first_byte)
    for phase, took in tally.cold_start.items():
        yield Sample(names.MODEL_COLD_START_SECONDS, (model, phase), took)
