"""The names of what a node logs as it happens; docs/telemetry.md says what each means and has.

A name stays once it is released: owners' alarms look for it. Lines of trouble have none.
"""

from enum import StrEnum


class NodeEvent(StrEnum):
    """What happened, in a line's ``event``."""

    UP = "node_up"
    STOPPING = "node_stopping"
    OWNER_SAID = "owner_said"
    DRAINED = "drained"
    OPEN_CHANGED = "open_changed"
    PEERS_READ = "peers_read"
    COORDINATOR_JOINED = "coordinator_joined"
    COORDINATOR_LOST = "coordinator_lost"
    LEASE_TAKEN = "lease_taken"
    LEASE_REFUSED = "lease_refused"
    LEASE_PHASE = "lease_phase"
    LEASE_OVER = "lease_over"
    COMMAND_BEGUN = "command_begun"
    STAKE_LACKING = "stake_lacking"
    GPU_ERROR = "gpu_error"
    GPU_WITHHELD = "gpu_withheld"
    GPU_WELL = "gpu_well"
    LEAK_FOUND = "leak_found"
    EARNING_DIFFERS = "earning_differs"
