"""`... | head -1` ends every program quietly: it has not failed, and nobody is to believe so."""

import json
from pathlib import Path

import pytest
from solders.pubkey import Pubkey

from closed_output import CLOSED, run_unread
from neurogrid_node.key_files import forgo_backup
from neurogrid_node.setup import initialise
from node.market import COORDINATOR

_LEASE = "lease_" + "a" * 32


@pytest.fixture
def node(tmp_path: Path) -> Path:
    """A node's folder; its chain does not answer."""
    key = str(Pubkey.default())
    chain = {"rpc_url": "http://127.0.0.1:9", "genesis_hash": key}
    file = tmp_path / "chain.json"
    file.write_text(json.dumps(chain | dict.fromkeys(("program_id", "admin", "usdc_mint"), key)))
    initialise(
        tmp_path / "node",
        coordinators=(f"/ip4/127.0.0.1/tcp/4001/p2p/{COORDINATOR}",),
        chain_file=file,
        region="local",
        encrypted=False,
        passphrase_file=None,
        back_up=forgo_backup,
    )
    return tmp_path / "node"


@pytest.mark.parametrize(
    "typed",
    [
        ("neurogrid", "constraints"),
        ("neurogrid", "wallet", "list", "--json"),
        ("neurogrid", "devnet", "status", "--json"),
        (
            "neurogrid_coordinator",
            "init",
            "--data",
            "DIR/c",
            "--chain",
            "DIR/../chain.json",
            "--json",
        ),
        ("neurogrid_node", "config", "show", "--data", "DIR"),
        ("neurogrid_node", "init", "--data", "DIR"),
        ("neurogrid_node", "keys", "show", "--data", "DIR"),
        ("neurogrid_node", "service", "install", "--print", "--data", "DIR"),
        ("neurogrid_node", "logs", _LEASE, "--data", "DIR"),
        ("neurogrid_node", "benchmark", "--data", "DIR"),
    ],
    ids=" ".join,
)
def test_it_is_no_failure(
    node: Path, typed: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(node))
    (node / "logs").mkdir(exist_ok=True)
    (node / "logs" / f"{_LEASE}.log").write_text("said\n")
    words = [word.replace("DIR", str(node)) for word in typed]
    exit_code, said = run_unread(*words)
    assert exit_code == CLOSED, said
    assert "ipe" not in said
