"""What the daemon shows of itself: a small file, rewritten whole, that `neurogrid-node status` reads."""

import json
import os
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from .machine.host import Host
from .machine.inventory import Inventory
from .machine.proofs import Proof
from .market.intake import Word
from .market.ledger_check import Mended

FILE_NAME = "status.json"
# The daemon writes every second; a machine that swaps may take a while.
_STALE_MS = 60_000


@dataclass(frozen=True, slots=True)
class CoordinatorStatus:
    """One coordinator and whether its stream is up.

    Attributes:
        found_by: where it was found; "" if it is listed, or has come by itself.
    """

    peer_id: str
    connected: bool
    found_by: str


@dataclass(frozen=True, slots=True)
class LeaseLine:
    """One lease in a line.

    Attributes:
        voucher_micro_usdc: held and not redeemed yet.
        stops_at_ms: when it is stopped, Unix time; 0 unless it is reclaimed.
        network_bytes: that its job moved, both ways together; network_refused: how often it was refused
            something; None where it has no network.
        image: "" before the job came; coordinator: a peer id.
        since_ms: how long it is in this phase, Unix time.
        gpus: UUIDs of those that it may use.
    """

    lease_id: str
    phase: str
    metered_ms: int
    progress_permille: int
    price_micro_usdc_per_hour: int
    voucher_micro_usdc: int
    stops_at_ms: int = 0
    network_bytes: int | None = None
    network_refused: int | None = None
    image: str = ""
    coordinator: str = ""
    since_ms: int = 0
    gpus: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class NodeStatus:
    """The daemon now. Money in micro-USDC, memory in bytes, CPU in thousandths of a core.

    Attributes:
        word: what the owner has said of new work; no_new_work: why none is taken, "" if it is.
        stake_problem: why the stake lets no new work in, and what to do; "" if it does.
        inventory: the machine and its GPUs as they were read last, and which are withheld.
        reached_at: where others may dial us now: our own addresses, and those through relays that let us in.
        unproved: what else is not offered, because no container has shown it yet, or one has shown the contrary.
        host: the rest of the machine; None before it was read.
        mended: what did not agree of who has what of the machine, lately (`reconciling`).
        earnings_differ: leases of which journal and chain do not say the same (`earnings_check`).
    """

    pid: int
    peer_id: str
    wallet: str
    region: str
    summary: str
    accepting: bool
    word: Word
    no_new_work: str
    staked_micro_usdc: int
    stake_problem: str
    earned_micro_usdc: int
    leases_paid: int
    earnings_differ: tuple[str, ...]
    cpu_millis_free: int
    cpu_millis_total: int
    memory_bytes_free: int
    memory_bytes_total: int
    gpus: tuple[str, ...]
    inventory: Inventory
    reached_at: tuple[str, ...]
    unproved: tuple[Proof, ...]
    host: Host | None
    mended: tuple[Mended, ...]
    coordinators: tuple[CoordinatorStatus, ...]
    leases: tuple[LeaseLine, ...]
    updated_at_ms: int


def write_status(directory: Path, status: NodeStatus) -> None:
    """Replace the file; readers see the old or the new one, never half."""
    partial = directory / f"{FILE_NAME}.partial"
    partial.write_text(json.dumps(asdict(status), indent=2) + "\n")
    partial.replace(directory / FILE_NAME)


def read_status(directory: Path) -> dict[str, object] | None:
    """The file of a daemon that is running; None if none is."""
    try:
        document = json.loads((directory / FILE_NAME).read_text())
        age_ms = time.time() * 1000 - document["updated_at_ms"]
        os.kill(document["pid"], 0)
    except (OSError, ValueError, KeyError, TypeError):
        return None
    # The pid of a daemon that was killed may be another process's by now.
    return document if isinstance(document, dict) and age_ms < _STALE_MS else None
