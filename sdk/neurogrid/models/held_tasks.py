"""A task as the program of the machine that was awarded it sees it."""

from decimal import Decimal
from typing import Literal

from msgspec import Struct

HeldStatus = Literal[
    "offered",
    "accepted",
    "ready",
    "running",
    "stopping",
    "collecting",
    "reported",
    "claiming",
    "closed",
]


class TaskInput(Struct, frozen=True, kw_only=True):
    """A file that belongs below ``/inputs``."""

    path: str
    sha256: str
    size: int


class TaskJob(Struct, frozen=True, kw_only=True):
    """What is to be run, once it is known."""

    docker_image: str
    command: list[str] = []
    environment: dict[str, str] = {}
    inputs: list[TaskInput] = []


class HeldTask(Struct, frozen=True, kw_only=True):
    """A task of a machine of this program's.

    Attributes:
        id: of its lease. A provider is told neither the client nor the client's name for the task.
        status: ``offered``: to be accepted within two seconds. ``accepted``: its escrow is being opened. ``ready``: its
            ``job`` is here, to be started. ``stopping``: end it now, for ``stop_reason``. ``reported``: its end is told.
            ``claiming``: it is being paid. ``closed``: it is over.
        price_per_hour, max_cost: USDC.
        cpu_cores, ram_gb, storage_gb, gpus: what it may use; GPUs by their uuid.
        log_bytes: what of its log was written.
        earned: USDC that are signed for it so far, the market's fee included.
        outcome: how it ended, as it was reported.
        transaction: that paid it.
    """

    id: str
    resource_id: str
    status: HeldStatus
    price_per_hour: Decimal
    max_cost: Decimal
    timeout_seconds: int
    cpu_cores: float
    ram_gb: float
    storage_gb: float
    gpus: list[str] = []
    job: TaskJob | None = None
    container_id: str = ""
    progress: float = 0
    metered_seconds: float = 0
    earned: Decimal = Decimal(0)
    log_bytes: int = 0
    stop_reason: str | None = None
    outcome: str | None = None
    transaction: str | None = None
