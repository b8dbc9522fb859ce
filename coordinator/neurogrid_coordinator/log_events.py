"""The names of what a coordinator logs as it happens; docs/telemetry.md says what each means and has.

A name stays once it is released: operators' alarms look for it. Lines of trouble have none.
"""

from enum import StrEnum


class CoordinatorEvent(StrEnum):
    """What happened, in a line's ``event``."""

    UP = "coordinator_up"
    PEERS_READ = "peers_read"
    MARKET_ENDED = "market_ended"
    NODE_STATUS = "node_status"
    TASK_PHASE = "task_phase"
    LEASE_SETTLED = "lease_settled"
    CHALLENGE_MARKED = "challenge_marked"
    BOOKS_DIFFER = "books_differ"
    REPLICA_BEGUN = "replica_begun"
    REPLICA_READY = "replica_ready"
    REPLICA_LOST = "replica_lost"
    MODEL_DIFFERS = "model_differs"
    MODEL_FALSE = "model_false"
    WEBHOOK_DISABLED = "webhook_disabled"
