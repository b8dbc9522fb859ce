"""The command, as far as it goes without an engine and a chain."""

import json
import socket
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from neurogrid_node.__main__ import main
from neurogrid_node.config import load_config
from neurogrid_node.journal import Journal
from neurogrid_node.status import write_status
from node.market import COORDINATOR, LEASE
from node.test_status import status

ADDRESS = f"/ip4/127.0.0.1/tcp/4001/p2p/{COORDINATOR}"


@pytest.fixture
def chain(tmp_path: Path) -> Path:
    names = ("program_id", "usdc_mint", "admin", "genesis_hash")
    document = {"rpc_url": "http://127.0.0.1:1", **dict.fromkeys(names, "1" * 32)}
    path = tmp_path / "chain.json"
    path.write_text(json.dumps(document))
    return path


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def init(directory: Path, chain: Path, *more: str) -> Result:
    return run("init", "--data", directory, "--coordinator", ADDRESS, "--chain", chain, *more)


def test_init_says_what_it_made_and_what_to_do_next(tmp_path: Path, chain: Path) -> None:
    made = init(tmp_path / "node", chain, "--no-passphrase")
    assert made.exit_code == 0, made.output
    for part in (
        "peer id  12D3KooW",
        "wallet.json",
        "identity.json",
        "neurogrid-node start --data",
    ):
        assert part in made.output
    again = init(tmp_path / "node", chain, "--no-passphrase", "--json")
    assert json.loads(again.output)["peer_id"] in made.output


def test_init_needs_no_coordinator_where_one_is_found_that_may_be_joined(
    tmp_path: Path, chain: Path
) -> None:
    bare = ("init", "--data", tmp_path / "node", "--chain", chain, "--no-passphrase")
    refused = run(*bare)
    assert refused.exit_code == 2
    assert "none is listed" in refused.output
    made = run(*bare, "--mdns", "--rendezvous", ADDRESS, "--dht", ADDRESS, "--join", COORDINATOR)
    assert made.exit_code == 0, made.output
    found = load_config(tmp_path / "node" / "node.toml").discovery
    assert (found.mdns, found.rendezvous, found.dht) == (True, (ADDRESS,), (ADDRESS,))
    assert (found.join, found.strangers) == ((COORDINATOR,), 0)


def test_discover_says_what_to_set_where_there_is_nowhere_to_look(
    tmp_path: Path, chain: Path
) -> None:
    assert run("discover", "--data", tmp_path / "nowhere").exit_code == 2
    assert init(tmp_path / "node", chain, "--no-passphrase").exit_code == 0
    looked = run("discover", "--data", tmp_path / "node")
    assert looked.exit_code == 2
    assert "[discovery] names nowhere to look: set dht, rendezvous or mdns" in looked.output


def test_init_names_the_encrypted_wallet_to_back_up(tmp_path: Path, chain: Path) -> None:
    (tmp_path / "passphrase").write_text("correct horse battery staple")
    (tmp_path / "passphrase").chmod(0o600)
    made = init(tmp_path / "node", chain, "--passphrase-file", str(tmp_path / "passphrase"))
    assert made.exit_code == 0, made.output
    assert "wallet.keystore" in made.output
    assert "wallet.json" not in made.output


def test_what_is_wrong_is_one_line_and_exit_code_2(tmp_path: Path, chain: Path) -> None:
    started = run("start", "--data", tmp_path / "nowhere")
    assert started.exit_code == 2
    assert "run `neurogrid-node init` first" in started.output
    chain.write_text("{}")
    made = init(tmp_path / "node", chain, "--no-passphrase")
    assert made.exit_code == 2
    assert "lacks rpc_url" in made.output


def test_a_second_daemon_is_told_so_before_it_touches_anything(tmp_path: Path, chain: Path) -> None:
    init(tmp_path / "node", chain, "--no-passphrase")
    first = Journal(tmp_path / "node" / "journal.db")
    started = run("start", "--data", tmp_path / "node")
    first.close()
    assert started.exit_code == 2
    assert "is another neurogrid-node running on this directory?" in started.output
    assert not (tmp_path / "node" / "payments.db").exists()


@pytest.mark.engine
def test_a_port_that_is_taken_is_one_line_too(tmp_path: Path, chain: Path) -> None:
    init(tmp_path / "node", chain, "--no-passphrase")
    config = tmp_path / "node" / "node.toml"
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f'listen = ["/ip4/127.0.0.1/tcp/{taken.getsockname()[1]}"]'
        config.write_text(config.read_text().replace("listen = []", address))
        started = run("start", "--data", tmp_path / "node")
    assert started.exit_code == 2
    assert "ddress already in use" in started.output
    assert "Traceback" not in started.output


def test_reclaiming_leaves_a_running_node_the_request(tmp_path: Path) -> None:
    assert run("reclaim", "--all", "--data", tmp_path).exit_code == 3
    write_status(tmp_path, status())
    for arguments in ((), (LEASE, "--all"), ("no-lease",)):
        assert run("reclaim", *arguments, "--data", tmp_path).exit_code == 2
    assert run("reclaim", LEASE, "--data", tmp_path).exit_code == 0
    every = run("reclaim", "--all", "--data", tmp_path, "--json")
    assert json.loads(every.output) == {"requested": "all"}
    assert {path.name for path in (tmp_path / "reclaim").iterdir()} == {LEASE, "--all"}
