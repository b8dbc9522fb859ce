"""Every metric of a coordinator. docs/telemetry.md has the same list.

A label has few values that we choose; never a task, lease, node or account, which come without end.
"""

from typing import Final

from neurogrid_telemetry.metrics import Kind, Metric

_PREFIX: Final = "neurogrid_coordinator_"


def _gauge(short: str, help: str, *labels: str) -> Metric:
    return Metric(_PREFIX + short, Kind.GAUGE, help, labels)


def _counter(short: str, help: str, *labels: str) -> Metric:
    return Metric(_PREFIX + short, Kind.COUNTER, help, labels)


def _histogram(short: str, help: str) -> Metric:
    return Metric(_PREFIX + short, Kind.HISTOGRAM, help)


INFO = _gauge(
    "info", "Always 1: which coordinator this is, and its release.", "coordinator", "version"
)
LEADS = _gauge("leads", "Whether it is the one of its database that has the market.")
API_CONNECTIONS = _gauge("api_connections", "Of clients to the API, WebSockets included.")
PASSED_ON = _counter(
    "passed_on", "Requests passed on to the coordinator that leads, by the outcome.", "result"
)
MARKET_UP = _gauge("market_up", "Whether the market process runs.")
NODES = _gauge("nodes", "Connected nodes.")
CONNECTIONS = _gauge("connections", "Of nodes and strangers, handshakes included.")
LEASE_STREAMS = _gauge("lease_streams", "Streams of leases, of all nodes.")
REFUSED = _counter("refused", "Connections and streams refused or cut off.", "reason")
TASKS = _gauge("tasks", "Tasks that are kept, by phase.", "phase")
TASKS_ENDED = _counter("tasks_ended", "Tasks that ended, by phase and error code.", "phase", "code")
AUCTIONS = _counter("auctions", "Auctions, by whether a node was found.", "result")
AWARDS = _counter("awards", "Leases offered to nodes, by the answer.", "answer")
AUCTION_SECONDS = _histogram("auction_seconds", "From looking for a node to having one, or none.")
START_SECONDS = _histogram("start_seconds", "From a node's accept to a running container.")
BOOKS_DIFFER = _gauge("books_differ", "On what books and chain do not agree now.")
DATABASE_BYTES = _gauge("database_bytes", "Size of the database, free pages included.")
PRUNED = _counter("pruned", "What was deleted because it ended long ago, by kind.", "kind")
PAYMENTS_UNDECIDED = _gauge("payments_undecided", "Transactions that have neither landed nor died.")

CATALOGUE: Final = (
    INFO,
    LEADS,
    API_CONNECTIONS,
    PASSED_ON,
    MARKET_UP,
    NODES,
    CONNECTIONS,
    LEASE_STREAMS,
    REFUSED,
    TASKS,
    TASKS_ENDED,
    AUCTIONS,
    AWARDS,
    AUCTION_SECONDS,
    START_SECONDS,
    BOOKS_DIFFER,
    DATABASE_BYTES,
    PRUNED,
    PAYMENTS_UNDECIDED,
)
