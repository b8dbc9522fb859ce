"""What an owner lets each job's network do."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Caps:
    """What an owner lets each job do.

    Attributes:
        job_bytes: through all its connections, both ways together.
        bytes_per_s: on average, of all its connections, both ways together.
        connections: at a time.
        connections_per_s: on average.
        idle_s: a connection on which nothing moves for so long is closed.
    """

    job_bytes: int
    bytes_per_s: float
    connections: int
    connections_per_s: float
    idle_s: float
