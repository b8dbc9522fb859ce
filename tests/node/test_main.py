"""The command, as far as it goes without an engine and a chain."""

import json
import socket
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from neurogrid_node.__main__ import main
from neurogrid_node.journal import Journal
from neurogrid_node.status import write_status
from node.market import COORDINATOR, LEASE
from node.test_status import status

ADDRESS = f"/ip4/127.0.0.1/tcp/4001/p2p/{COORDINATOR}"


@pytest.fixture
def chain(tmp_path: Path) -> Path:
    return some_chain(tmp_path)


def some_chain(tmp_path: Path) -> Path:
    """A market's file, of a chain that is nowhere."""
    names = ("program_id", "usdc_mint", "admin", "genesis_hash")
    document = {"rpc_url": "http://127.0.0.1:1", **dict.fromkeys(names, "1" * 32)}
    path = tmp_path / "chain.json"
    path.write_text(json.dumps(document))
    return path


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def init(directory: Path, chain: Path, *more: str) -> Result:
    """A first run by a script."""
    known = ("--coordinator", ADDRESS, "--chain", chain, "--keys-may-be-lost")
    return run("init", "--data", directory, *known, *more)


def test_discover_says_what_to_set_where_there_is_nowhere_to_look(
    tmp_path: Path, chain: Path
) -> None:
    assert run("discover", "--data", tmp_path / "nowhere").exit_code == 2
    assert init(tmp_path / "node", chain, "--no-passphrase").exit_code == 0
    looked = run("discover", "--data", tmp_path / "node")
    assert looked.exit_code == 2
    assert "[discovery] names nowhere to look: set dht, rendezvous or mdns" in looked.output


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


@pytest.mark.parametrize("command", ["pause", "resume", "drain", "stop", "reclaim --all"])
def test_steering_needs_a_node_that_listens(tmp_path: Path, command: str) -> None:
    nobody = run(*command.split(), "--data", tmp_path)
    assert nobody.exit_code == 3
    assert "no node runs on" in nobody.output
    write_status(tmp_path, status())
    deaf = run(*command.split(), "--data", tmp_path)
    assert deaf.exit_code == 3
    assert "does not listen to commands" in deaf.output


@pytest.mark.parametrize(
    "wrong",
    [
        "reclaim",
        f"reclaim {LEASE} --all",
        "reclaim no-lease",
        "pause --for 2",
        "pause --for 0s",
        "drain --timeout 1h",
    ],
)
def test_steering_that_makes_no_sense_is_refused(tmp_path: Path, wrong: str) -> None:
    assert run(*wrong.split(), "--data", tmp_path).exit_code == 2
