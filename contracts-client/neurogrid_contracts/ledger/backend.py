"""What the RPC methods work on, and the shapes that many of them share."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from neurogrid_contracts.ledger.control import ControlKey
from neurogrid_contracts.ledger.faucet import Faucet
from neurogrid_contracts.ledger.faults import Faults
from neurogrid_contracts.ledger.ledger import Commitment, Ledger
from neurogrid_contracts.ledger.params import Options, Params

# The release of Agave whose answers these methods imitate.
IMITATED_VERSION = "2.2.0"


@dataclass(frozen=True, slots=True)
class Backend:
    """Lives on the owner thread.

    Args:
        info: what ``ledger.json`` holds.
        control_key: guards the methods that bend the rules.
    """

    ledger: Ledger
    faucet: Faucet
    info: dict[str, Any]
    control_key: ControlKey
    faults: Faults


@dataclass(frozen=True, slots=True)
class Method:
    """A row of the method table: the function, and how many arguments it takes at most."""

    run: Callable[[Backend, Params], Any]
    arguments_max: int


def context(backend: Backend, commitment: Commitment) -> dict[str, Any]:
    return {"slot": backend.ledger.slot_at(commitment), "apiVersion": IMITATED_VERSION}


def with_context(backend: Backend, commitment: Commitment, value: Any) -> dict[str, Any]:
    return {"context": context(backend, commitment), "value": value}


def read_commitment(backend: Backend, options: Options) -> Commitment:
    """The commitment a caller reads at, once that state is as new as it asks."""
    commitment = options.commitment()
    options.require_slot(backend.ledger.slot_at(commitment))
    return commitment
