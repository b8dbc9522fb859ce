"""An owner's first run: what it asks, what scripts give, what a kill leaves, what brings a node back."""

import json
import os
import subprocess
import sys
from itertools import product
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from neurogrid_marketplace.identity import peer_id_of
from neurogrid_node.__main__ import main
from neurogrid_node.config import load_config
from neurogrid_node.first_run import Known, lacking
from neurogrid_node.key_files import identity_of
from neurogrid_wallet.keys import KeyPair
from neurogrid_wallet.phrase import parse_phrase
from node.market import COORDINATOR
from wallet.command_world import WEAK
from wallet.terminal import Terminal

ADDRESS = f"/ip4/127.0.0.1/tcp/4001/p2p/{COORDINATOR}"
TESTS = Path(__file__).parents[1]
WORDS = "correct horse battery staple"


@pytest.fixture(autouse=True)
def _weak(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("neurogrid_wallet.keystore.DEFAULT_KDF", WEAK)
    monkeypatch.delenv("NEUROGRID_PASSPHRASE", raising=False)


@pytest.fixture
def chain(tmp_path: Path) -> Path:
    names = ("program_id", "usdc_mint", "admin", "genesis_hash")
    document = {"rpc_url": "http://127.0.0.1:1", **dict.fromkeys(names, "1" * 32)}
    path = tmp_path / "chain.json"
    path.write_text(json.dumps(document))
    return path


@pytest.fixture
def passphrase(tmp_path: Path) -> Path:
    path = tmp_path / "passphrase"
    path.write_text(WORDS)
    path.chmod(0o600)
    return path


def run(*arguments: object, given: str | None = None) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments], input=given)


def made(*arguments: object, given: str | None = None) -> dict[str, str]:
    """A first run by a script that goes well; its JSON."""
    done = run("init", *arguments, "--json", given=given)
    assert done.exit_code == 0, done.output
    document: dict[str, str] = json.loads(done.stdout)
    return document


def refused(*arguments: object, given: str | None = None) -> str:
    done = run(*arguments, given=given)
    assert done.exit_code == 2, done.output
    return done.output


def market(chain: Path) -> tuple[object, ...]:
    return ("--coordinator", ADDRESS, "--chain", chain)


def test_what_is_lacking_is_what_nothing_else_says() -> None:
    for flags in product((False, True), repeat=6):
        known = Known(*flags)
        options = " ".join(lacking(known))
        assert ("--coordinator" in options) == (not known.configured and not known.coordinator)
        assert ("--chain" in options) == (not known.configured and not known.chain)
        assert ("--no-passphrase" in options) == (not known.wallet and not known.sealing)
        assert ("--backup" in options) == (not known.wallet and not known.backup)


def test_without_a_terminal_all_that_would_be_asked_is_named_at_once(
    tmp_path: Path, chain: Path
) -> None:
    says = refused("init", "--data", tmp_path / "node")
    for option in ("--coordinator", "--join", "--chain", "--passphrase-file", "--no-passphrase"):
        assert option in says
    for option in ("--backup FILE", "--restore FILE", "--keys-may-be-lost"):
        assert option in says
    assert not (tmp_path / "node").exists()
    says = refused("init", "--data", tmp_path / "node", *market(chain), "--no-passphrase")
    assert "--coordinator" not in says
    assert "--backup FILE" in says
    assert not (tmp_path / "node").exists()


def test_a_script_makes_a_node_and_may_run_again(tmp_path: Path, chain: Path) -> None:
    node = tmp_path / "node"
    typed = ("--data", node, *market(chain), "--region", "eu-1", "--no-passphrase", "--yes")
    typed += ("--keys-may-be-lost", "--gpu-price", "0.80", "--set", "offer.cpu_cores=3")
    first = made(*typed)
    config = load_config(node / "node.toml")
    assert (config.region, config.prices.gpu, config.offer.cpu_cores) == ("eu-1", "0.80", 3)
    before = {path: path.read_bytes() for path in node.iterdir()}
    assert made(*typed) == first
    # What is there needs nothing to be typed.
    assert made("--data", node) == first
    assert {path: path.read_bytes() for path in node.iterdir()} == before
    for part in ("peer id  12D3KooW", "neurogrid-node start --data"):
        assert part in run("init", "--data", node).output


def test_a_configuration_that_is_there_is_its_owners(tmp_path: Path, chain: Path) -> None:
    node = tmp_path / "node"
    typed = ("init", "--data", node, *market(chain), "--no-passphrase", "--keys-may-be-lost")
    assert run(*typed).exit_code == 0
    before = (node / "node.toml").read_text()
    says = refused(*typed, "--region", "eu-1", "--core-price", "0.02")
    assert 'is not overwritten; it says region = "local":' in says
    assert (node / "node.toml").read_text() == before


@pytest.mark.parametrize(
    ("typed", "says"),
    [
        (("--restore", "-", "--keys-may-be-lost"), "give one of --backup, --restore"),
        (("--keys-may-be-lost", "--gpu-price", "free"), "'free' is not an amount"),
        (("--keys-may-be-lost", "--set", "prices.gpus=1"), "a key of node.toml"),
        (("--keys-may-be-lost", "--set", "spot.discount_permille=2000"), "<= 1000"),
    ],
)
def test_what_is_wrong_makes_nothing(
    tmp_path: Path, chain: Path, typed: tuple[str, ...], says: str
) -> None:
    node = tmp_path / "node"
    assert says in refused("init", "--data", node, *market(chain), "--no-passphrase", *typed)
    assert not node.exists() or not list(node.iterdir())


def test_init_needs_no_coordinator_where_one_is_found_that_may_be_joined(
    tmp_path: Path, chain: Path
) -> None:
    node = tmp_path / "node"
    bare = ("init", "--data", node, "--chain", chain, "--no-passphrase", "--keys-may-be-lost")
    assert "none is listed" in refused(*bare, "--mdns")
    more = ("--mdns", "--rendezvous", ADDRESS, "--dht", ADDRESS, "--join", COORDINATOR)
    assert run(*bare, *more).exit_code == 0
    found = load_config(node / "node.toml").discovery
    assert (found.mdns, found.rendezvous, found.dht) == (True, (ADDRESS,), (ADDRESS,))
    assert (found.join, found.strangers) == ((COORDINATOR,), 0)


@pytest.mark.parametrize("sealed", [False, True])
def test_a_backup_brings_back_wallet_and_identity(
    tmp_path: Path, chain: Path, passphrase: Path, sealed: bool
) -> None:
    sealing = ("--passphrase-file", passphrase) if sealed else ("--no-passphrase",)
    backup = tmp_path / "backup"
    first = made("--data", tmp_path / "node", *market(chain), *sealing, "--backup", backup)
    assert backup.stat().st_mode & 0o077 == 0
    assert (len(backup.read_text().split()) == 24) is not sealed
    again = made("--data", tmp_path / "again", *market(chain), *sealing, "--restore", backup)
    assert (again["peer_id"], again["wallet"]) == (first["peer_id"], first["wallet"])
    assert ("wallet.keystore" in again["wallet_file"]) == sealed

    # `keys backup` writes another one, from what is on disk.
    opening = ("--passphrase-file", passphrase) if sealed else ()
    later = tmp_path / "later"
    done = run("keys", "backup", later, "--data", tmp_path / "node", *opening, "--json")
    assert json.loads(done.stdout) == {
        "wallet": first["wallet"],
        "file": str(later),
        "identity": True,
    }
    third = made("--data", tmp_path / "third", *market(chain), *sealing, "--restore", later)
    assert third["peer_id"] == first["peer_id"]
    shown = json.loads(run("keys", "show", "--data", tmp_path / "third", "--json").output)
    assert (shown["peer_id"], shown["sealed"]) == (first["peer_id"], sealed)


def test_words_bring_a_node_back_from_standard_input(tmp_path: Path, chain: Path) -> None:
    about = "abandon " * 11 + "about"
    typed = ("--data", tmp_path / "node", *market(chain), "--no-passphrase", "--restore", "-")
    back = made(*typed, given=about)
    key = parse_phrase(about).key()
    assert back["wallet"] == key.address
    assert back["peer_id"] == peer_id_of(identity_of(key).public_key)
    wrong = ("--data", tmp_path / "other", *market(chain), "--no-passphrase", "--restore", "-")
    says = refused("init", *wrong, given=about + " secretword")
    assert "secretword" not in says
    assert not (tmp_path / "other").exists()


def test_a_backup_that_would_be_lost_with_the_node_is_refused(tmp_path: Path, chain: Path) -> None:
    node = tmp_path / "node"
    typed = ("init", "--data", node, *market(chain), "--no-passphrase", "--backup")
    assert "keep the backup elsewhere" in refused(*typed, node / "backup")
    taken = tmp_path / "taken"
    taken.write_text("abandon " * 23 + "art")
    taken.chmod(0o600)
    assert "is not overwritten" in refused(*typed, taken)
    assert "are not backed up" in refused("start", "--data", node)
    # Nothing was made that counts; the same first run goes on.
    assert run(*typed, tmp_path / "backup").exit_code == 0


def test_one_directory_is_never_two_nodes(tmp_path: Path, chain: Path) -> None:
    node, backup, other = tmp_path / "node", tmp_path / "backup", tmp_path / "other-key"
    typed = ("--data", node, *market(chain), "--no-passphrase")
    first = made(*typed, "--backup", backup)
    KeyPair(b"o" * 32).write_solana_file(other)
    assert "choose another --data" in refused("init", *typed, "--restore", other)
    (node / "wallet.json").unlink()
    assert "its wallet is not" in refused("init", *typed, "--keys-may-be-lost")
    assert "another node's" in refused("init", *typed, "--restore", other)
    assert made(*typed, "--restore", backup) == first
    # The identity follows from the wallet.
    (node / "identity.json").unlink()
    assert made("--data", node) == first


def test_an_identity_of_its_own_has_to_be_kept_too(tmp_path: Path, chain: Path) -> None:
    node = tmp_path / "node"
    made("--data", node, *market(chain), "--no-passphrase", "--keys-may-be-lost")
    (node / "identity.json").unlink()
    KeyPair(b"i" * 32).write_solana_file(node / "identity.json")
    done = run("keys", "backup", tmp_path / "backup", "--data", node)
    assert done.exit_code == 0, done.output
    assert "keep a copy of" in done.output
    # Words are for a terminal.
    assert "give FILE" in refused("keys", "backup", "--data", node)


def test_killed_anywhere_it_goes_on_as_the_same_node(tmp_path: Path, chain: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "node.first_runs", tmp_path, chain],
        cwd=TESTS,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    lives = [json.loads(line) for line in done.stdout.splitlines()]
    # Each write, rename and removal of two whole first runs, and the runs that were not killed.
    assert len(lives) > 40
    for life in lives:
        # Whatever was written down, and whatever could be used, is what the node became.
        assert set(life["written"]) == {life["wallet"]}
        assert life["usable"] in (None, life["wallet"])
        assert life["usable"] is None or life["written_before"]
        wallet = "wallet.keystore" if life["sealed"] else "wallet.json"
        assert set(life["files"]) == {"identity.json", "node.toml", wallet}


def environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name != "NEUROGRID_PASSPHRASE"}


def typed_at_a_terminal(*arguments: object) -> Terminal:
    command = (sys.executable, "-m", "neurogrid_node", *map(str, arguments))
    return Terminal(command, environment())


def read_words(terminal: Terminal) -> list[str]:
    words = [terminal.expect(rf"\b{number}\. +([a-z]+)")[1] for number in range(1, 25)]
    terminal.expect("written down")
    terminal.type("")
    return words


def test_at_a_terminal_it_asks_and_shows_the_words_once(tmp_path: Path, chain: Path) -> None:
    node = tmp_path / "node"
    with typed_at_a_terminal("init", "--data", node) as terminal:
        terminal.expect(r"machine  \d+ cores")
        terminal.expect("Coordinator's address")
        terminal.type("nowhere")
        terminal.expect("is not an address like")
        terminal.expect("Coordinator's address")
        terminal.type(ADDRESS)
        terminal.expect("Market's chain file")
        terminal.type(str(chain))
        terminal.expect(r"Region.*\[local\]")
        terminal.type("eu-1")
        terminal.expect(r"USDC an hour for a core \[0\.02\]")
        terminal.type("0.03")
        for _ in range(2):
            terminal.expect("passphrase:|Again:")
            terminal.type(WORDS)
        words = read_words(terminal)
        terminal.expect(r"Word \d+: ")
        terminal.type("wrong")
        status, _ = terminal.ended()
    assert status == 2
    assert "it shows the same words" in terminal.screen
    config = load_config(node / "node.toml")
    assert (config.region, config.prices.cpu_core) == ("eu-1", "0.03")

    # Typed again, it asks nothing twice, and shows the same words.
    with typed_at_a_terminal("init", "--data", node) as terminal:
        terminal.expect("passphrase:")
        terminal.type(WORDS)
        assert read_words(terminal) == words
        for _ in range(3):
            number = int(terminal.expect(r"Word (\d+): ")[1])
            terminal.type(words[number - 1])
        status, output = terminal.ended()
    assert status == 0, terminal.screen
    assert parse_phrase(" ".join(words)).key().address in output
    assert WORDS not in terminal.screen
