"""`neurogrid wallet` where no chain is needed: making, importing, backing up, paying out."""

import json
import re
from pathlib import Path

import pytest

from neurogrid_wallet.errors import WrongPassphrase
from neurogrid_wallet.keys import KeyPair
from neurogrid_wallet.keystore import load_keystore
from neurogrid_wallet.phrase import parse_phrase
from neurogrid_wallet.secret_file import write_secret_file
from wallet.command_world import PASSPHRASE, WEAK, Shell

KEY = KeyPair(bytes(range(32)))
COLD, SAFE = KeyPair(b"c" * 32), KeyPair(b"s" * 32)
ABOUT = "abandon " * 11 + "about"
ABOUT_ADDRESS = "HAgk14JpMQLgt6rVgv7cBQFJWFto5Dqxi472uT3DKpqk"


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shell:
    monkeypatch.setattr("neurogrid_wallet.keystore.DEFAULT_KDF", WEAK)
    return Shell(tmp_path)


def _secret(path: Path, text: str) -> Path:
    write_secret_file(path, text.encode(), overwrite=True)
    return path


def test_a_new_wallet_is_backed_up_to_a_file_before_it_can_be_used(shell: Shell) -> None:
    backup = shell.home / "backup"
    made = shell.run("new", "main", "--backup-file", str(backup), "--plain")
    assert made["backed_up"]
    words = backup.read_text()
    assert len(words.split()) == 24
    assert backup.stat().st_mode & 0o077 == 0
    assert parse_phrase(words).key().address == made["address"]
    # The words come back by import, on any machine.
    other = Shell(shell.home / "other")
    other.home.mkdir()
    again = other.run("import", "--phrase-file", str(backup))
    assert again["address"] == made["address"]


def test_a_sealed_backup_is_a_keystore_and_comes_back_with_its_passphrase(shell: Shell) -> None:
    backup = shell.home / "backup"
    made = shell.run("new", "main", "--words", "12", "--backup-file", str(backup))
    assert load_keystore(backup, PASSPHRASE).address == made["address"]
    again = shell.run("import", "again", "--keystore", str(backup))
    assert again["address"] == made["address"]
    assert len(shell.run("backup", "-w", "again", "--show-phrase")["phrase"].split()) == 12
    shell.more["NEUROGRID_PASSPHRASE"] = "wrong"
    assert shell.refused("import", "third", "--keystore", str(backup)) == (3, "WRONG_PASSPHRASE")


def test_without_a_terminal_a_phrase_is_never_printed(shell: Shell) -> None:
    assert shell.refused("new", "main") == (2, "USAGE_REFUSED")
    assert shell.run("list") == []
    _ = shell.run("new", "main", "--backup-file", str(shell.home / "b"), "--plain")
    words = (shell.home / "b").read_text().strip()
    for command in (["show"], ["list"], ["address"], ["backup", "--backup-file", "x"]):
        command = [word.replace("x", str(shell.home / "c")) for word in command]
        result = shell.invoke(*command, "--json", "--yes")
        assert words not in result.output
    assert shell.refused("backup") == (2, "USAGE_REFUSED")
    # But it is when a program says that it wants just that.
    assert shell.run("backup", "--show-phrase")["phrase"] == words


def test_a_wallet_whose_backup_could_not_be_written_stays_unusable(shell: Shell) -> None:
    taken = _secret(shell.home / "taken", "something else")
    assert shell.refused("new", "main", "--backup-file", str(taken)) == (8, "SECRET_FILE_EXISTS")
    assert taken.read_text() == "something else"
    assert shell.refused("address") == (3, "BACKUP_MISSING")
    assert shell.run("show")["address"] is None
    assert shell.refused("export", str(shell.home / "key.json")) == (3, "BACKUP_MISSING")
    shell.run("backup", "--backup-file", str(shell.home / "backup"))
    assert shell.run("address")["address"] == shell.run("show")["address"]


def test_a_phrase_is_imported_from_standard_input(shell: Shell) -> None:
    imported = shell.run("import", given=f"{ABOUT}\n")
    assert imported == {
        "name": "main",
        "address": ABOUT_ADDRESS,
        "watch_only": False,
        "backed_up": True,
    }
    keygen = shell.run("import", "keygen", "--path", "solana-keygen", given=ABOUT)
    assert keygen["address"] == parse_phrase(ABOUT, "solana-keygen").key().address
    extra = _secret(shell.home / "extra", "TREZOR\n")
    hidden = shell.run("import", "hidden", "--extra-passphrase-file", str(extra), given=ABOUT)
    assert hidden["address"] == parse_phrase(ABOUT).key("TREZOR").address
    # Its phrase alone would bring another wallet back: the key is what there is.
    assert shell.refused("backup", "-w", "hidden", "--show-phrase") == (2, "USAGE_REFUSED")


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ("", "PHRASE_INVALID"),
        (ABOUT.replace("about", "abandon"), "PHRASE_INVALID"),
        (ABOUT + " secretword", "PHRASE_INVALID"),
    ],
)
def test_a_wrong_phrase_makes_no_wallet_and_is_not_repeated(
    shell: Shell, given: str, code: str
) -> None:
    result = shell.invoke("import", "--json", given=given)
    assert result.exit_code == 2
    assert json.loads(result.stdout)["error"]["code"] == code
    assert "abandon" not in result.output
    assert "secretword" not in result.output
    assert shell.run("list") == []


def test_keys_come_from_solanas_file_and_from_base58(shell: Shell) -> None:
    file = shell.home / "id.json"
    KEY.write_solana_file(file)
    assert shell.run("import", "file", "--keypair", str(file))["address"] == KEY.address
    text = str(KEY.to_solders())
    assert shell.run("import", "text", "--base58", given=f" {text}\n")["address"] == KEY.address
    for wrong in ("", text[:-1], text[:-2] + "11", "0OIl"):
        result = shell.invoke("import", "bad", "--base58", "--json", given=wrong)
        assert result.exit_code == 2
        assert len(wrong) < 5 or wrong not in result.output
    file.chmod(0o644)
    assert shell.refused("import", "bad", "--keypair", str(file))[1] == "SECRET_FILE_PERMISSIONS"
    assert shell.run("list")[0]["name"] == "file"
    out = shell.home / "out.json"
    shell.run("export", str(out), "-w", "text")
    assert KeyPair.read_solana_file(out) == KEY
    assert out.stat().st_mode & 0o077 == 0


def test_a_watched_wallet_signs_nothing(shell: Shell) -> None:
    shell.run("import", "cold", "--watch", COLD.address)
    assert shell.run("address") == {"address": COLD.address}
    refused = (3, "WATCH_ONLY")
    assert shell.refused("export", str(shell.home / "x")) == refused
    assert shell.refused("backup", "--show-phrase") == refused
    assert shell.refused("payout", "set", SAFE.address) == refused
    assert shell.refused("import", "bad", "--watch", "nonsense") == (2, "KEY_INVALID")


def test_wallets_are_listed_and_one_is_the_default(shell: Shell) -> None:
    shell.add("main", KEY)
    shell.run("import", "cold", "--watch", COLD.address)
    assert [(entry["name"], entry["default"]) for entry in shell.run("list")] == [
        ("cold", False),
        ("main", True),
    ]
    shell.run("use", "cold")
    assert shell.run("show")["address"] == COLD.address
    assert shell.run("show", "-w", "main")["address"] == KEY.address
    assert shell.refused("use", "nobody") == (4, "WALLET_UNKNOWN")
    assert shell.refused("show", "-w", "nobody") == (4, "WALLET_UNKNOWN")
    assert shell.refused("import", "main", "--watch", SAFE.address) == (8, "WALLET_EXISTS")
    table = shell.invoke("list").output
    assert re.search(r"^\* cold +\S+ watched only$", table, re.MULTILINE)


def test_a_wrong_passphrase_is_named_and_changes_nothing(shell: Shell) -> None:
    wallet = shell.add("main", KEY)
    before = wallet.keystore_path.read_bytes()
    new = _secret(shell.home / "new", "battery staple\n")
    shell.more["NEUROGRID_PASSPHRASE"] = "wrong"
    change = ("change-passphrase", "--new-passphrase-file", str(new))
    assert shell.refused(*change) == (3, "WRONG_PASSPHRASE")
    assert shell.refused("export", str(shell.home / "x")) == (3, "WRONG_PASSPHRASE")
    assert not (shell.home / "x").exists()
    assert wallet.keystore_path.read_bytes() == before
    shell.more.clear()
    shell.run(*change)
    with pytest.raises(WrongPassphrase):
        wallet.unlock(PASSPHRASE)
    assert wallet.unlock("battery staple") == KEY
    file = ("--passphrase-file", str(new))
    shell.run("export", str(shell.home / "x"), *file)


def test_a_damaged_wallet_is_named(shell: Shell) -> None:
    wallet = shell.add("main", KEY)
    content = wallet.keystore_path.read_bytes()
    wallet.keystore_path.write_bytes(content[:-40])
    assert shell.refused("show") == (1, "KEYSTORE_CORRUPT")
    assert shell.refused("export", str(shell.home / "x")) == (1, "KEYSTORE_CORRUPT")
    wallet.keystore_path.write_bytes(content)
    (wallet.path / "wallet.json").write_text("{}")
    assert shell.refused("show") == (1, "WALLET_CORRUPT")


def test_without_any_passphrase_the_sources_are_named(shell: Shell) -> None:
    shell.add("main", KEY)
    shell.more["NEUROGRID_PASSPHRASE"] = ""
    result = shell.invoke("export", str(shell.home / "x"), "--yes")
    assert result.exit_code == 3
    assert "--passphrase-file" in result.output


def test_the_cold_key_alone_moves_the_payout_address(shell: Shell) -> None:
    shell.add("main", KEY)
    assert shell.run("payout", "show")["payout"] is None
    first = shell.run("payout", "set", SAFE.address, "--cold", COLD.address)
    assert first == {"payout": SAFE.address, "cold": COLD.address, "changes": 0}

    asked = shell.run("payout", "set", COLD.address)
    assert asked["cold"] == COLD.address
    # On another machine, which has the cold key and no network.
    safe = Shell(shell.home / "safe")
    safe.home.mkdir()
    safe.add("cold", COLD)
    signed = safe.run("payout", "sign", asked["statement"])
    answer = ("--statement", asked["statement"], "--signature", signed["signature"])
    assert shell.run("payout", "set", *answer)["payout"] == COLD.address
    assert shell.refused("payout", "set", *answer) == (2, "STATEMENT_INVALID")

    # A thief of the hot wallet has its key and its files.
    text = shell.run("payout", "set", KEY.address)["statement"]
    forged = shell.run("payout", "sign", text)["signature"]
    assert shell.refused("payout", "set", "--statement", text, "--signature", forged) == (
        3,
        "PAYOUT_REFUSED",
    )
    assert shell.refused("payout", "set", KEY.address, "--cold", KEY.address) == (
        2,
        "USAGE_REFUSED",
    )
    assert shell.run("show")["payout"] == COLD.address


def test_what_is_not_confirmed_is_not_done(shell: Shell) -> None:
    shell.add("main", KEY)
    for command in (["export", str(shell.home / "x")], ["payout", "set", SAFE.address]):
        result = shell.invoke(*command)
        assert result.exit_code == 2
        assert "--yes" in result.output
    assert shell.run("payout", "show")["payout"] is None
    assert not (shell.home / "x").exists()


def test_a_command_that_needs_a_chain_says_so(shell: Shell) -> None:
    shell.add("main", KEY)
    assert shell.refused("balance") == (2, "USAGE_REFUSED")
    shell.folder.path.joinpath("config.toml").write_text('rpc_url = "http://127.0.0.1:1"\n')
    assert shell.refused("deposit", "1") == (2, "USAGE_REFUSED")


@pytest.mark.parametrize(
    "text",
    [
        "unknown_key = 1",
        'two_endpoints_from = "much"',
        '[currencies]\nUSDT = "nonsense"',
        "[fees]\npercentile = 0",
        "not toml",
    ],
)
def test_a_wrong_configuration_is_named(shell: Shell, text: str) -> None:
    shell.add("main", KEY)
    (shell.folder.path / "config.toml").write_text(text)
    result = shell.invoke("balance")
    assert result.exit_code == 2
    assert "config.toml" in result.output
