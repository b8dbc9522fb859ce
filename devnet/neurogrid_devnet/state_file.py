"""state.json: what the supervisor runs, for `status` and `down`, and for whoever cleans up after it."""

from enum import StrEnum
from pathlib import Path

import msgspec

from .layout import replace_json
from .processes import ProcessId


class Phase(StrEnum):
    """How far the devnet is."""

    STARTING = "starting"
    READY = "ready"
    STOPPING = "stopping"
    STOPPED = "stopped"
    FAILED = "failed"


class Running(msgspec.Struct, frozen=True):
    """One process of the devnet; ``exits`` counts how often it ended and was started again."""

    process: ProcessId
    exits: int = 0


class State(msgspec.Struct, frozen=True):
    """The whole devnet.

    Attributes:
        supervisor: who started the processes.
        message: what it is doing, or why it failed.
        processes: by name: ledger, coordinator, node-1 ...
    """

    supervisor: ProcessId
    phase: Phase
    message: str = ""
    processes: dict[str, Running] = {}


def write_state(path: Path, state: State) -> None:
    """Replace the file."""
    replace_json(path, msgspec.to_builtins(state))


def read_state(path: Path) -> State | None:
    """The last state that was written; None if there is none that can be read."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=State)
    except (OSError, msgspec.DecodeError):
        return None
