"""Every metric of a coordinator. docs/telemetry.md has the same list.

A label has few values that we, or the operator's catalogue of models, choose; never a task, lease, node or account, which come
without end.
"""

from typing import Final

from neurogrid_telemetry.metrics import Kind, Metric

_PREFIX: Final = "neurogrid_coordinator_"


def _gauge(short: str, help: str, *labels: str) -> Metric:
    return Metric(_PREFIX + short, Kind.GAUGE, help, labels)


def _counter(short: str, help: str, *labels: str) -> Metric:
    return Metric(_PREFIX + short, Kind.COUNTER, help, labels)


def _histogram(short: str, help: str, *labels: str) -> Metric:
    return Metric(_PREFIX + short, Kind.HISTOGRAM, help, labels)


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
MODEL_REPLICAS = _gauge("model_replicas", "Replicas of models, by how they are.", "model", "state")
MODEL_REPLICAS_WANTED = _gauge("model_replicas_wanted", "How many there should be.", "model")
MODEL_REPLICAS_BEGUN = _counter("model_replicas_begun", "Replicas that were asked for.", "model")
MODEL_REPLICAS_LOST = _counter(
    "model_replicas_lost", "Replicas that ended when nobody had let them go.", "model"
)
MODEL_WAITING = _gauge("model_waiting", "Requests that wait for a place at a replica.", "model")
MODEL_AT_WORK = _gauge("model_at_work", "Requests that a replica works at.", "model")
MODEL_REQUESTS = _counter(
    "model_requests", "Requests to replicas, by what came of them.", "model", "result"
)
MODEL_CHECKS = _counter(
    "model_checks", "Answers that were drawn to be checked, by what came of it.", "model", "result"
)
MODEL_FIRST_BYTE_SECONDS = _histogram(
    "model_first_byte_seconds",
    "From a request to the first byte of its answer, waiting included.",
    "model",
)
MODEL_COLD_START_SECONDS = _histogram(
    "model_cold_start_seconds",
    "From a replica's being wanted to its taking requests, phase by phase.",
    "model",
    "phase",
)

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
    MODEL_REPLICAS,
    MODEL_REPLICAS_WANTED,
    MODEL_REPLICAS_BEGUN,
    MODEL_REPLICAS_LOST,
    MODEL_WAITING,
    MODEL_AT_WORK,
    MODEL_REQUESTS,
    MODEL_CHECKS,
    MODEL_FIRST_BYTE_SECONDS,
    MODEL_COLD_START_SECONDS,
)
