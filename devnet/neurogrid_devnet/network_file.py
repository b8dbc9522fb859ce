"""network.json: everything a client needs to use a devnet, and a test to break it.

Document: the design's section 6. Our own keys beside it: the data directories, the chain's
addresses, the ledger's pid and the supervisor's.
"""

from pathlib import Path

import msgspec

from .layout import JOB_IMAGE, replace_json


class NodeEntry(msgspec.Struct, frozen=True):
    """One node. ``pid`` is 0 while it is not running; ``name`` is what `devnet lose` calls it."""

    peer_id: str
    wallet: str
    pid: int
    name: str = ""
    data: str = ""


class CoordinatorEntry(msgspec.Struct, frozen=True):
    """The coordinator's two processes; 0 while one is not running.

    ``p2p_address`` is where nodes connect, for `neurogrid-node init --coordinator`.
    """

    api_pid: int
    market_pid: int
    data: str = ""
    operator: str = ""
    p2p_address: str = ""


class Network(msgspec.Struct, frozen=True):
    """How to reach a devnet.

    ``api_key`` is its client's. ``provider_api_key`` is of the account whose wallet owns the first node;
    empty where there is none. ``operator_api_key`` acts as the coordinator's operator.
    """

    api_url: str
    api_key: str
    ledger_url: str
    client_keypair: str
    nodes: list[NodeEntry]
    coordinator: CoordinatorEntry
    dashboard_url: str
    job_image: str = JOB_IMAGE
    ledger_pid: int = 0
    supervisor_pid: int = 0
    client_wallet: str = ""
    treasury_wallet: str = ""
    admin_keypair: str = ""
    arbiter_keypair: str = ""
    terms: dict[str, int] = {}
    chain: str = ""
    data: str = ""
    provider_api_key: str = ""
    operator_api_key: str = ""


def write_network(path: Path, network: Network) -> None:
    """Replace the file; it holds an API key, so only its owner may read it."""
    replace_json(path, msgspec.to_builtins(network))


def read_network(path: Path) -> Network | None:
    """The file; None if there is none that can be read."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Network)
    except (OSError, msgspec.DecodeError):
        return None
