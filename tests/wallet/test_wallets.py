import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from neurogrid_wallet.errors import (
    BackupMissing,
    KeyInvalid,
    KeystoreError,
    WalletBusy,
    WalletCorrupt,
    WalletError,
    WalletExists,
    WalletUnknown,
    WatchOnly,
    WrongPassphrase,
)
from neurogrid_wallet.keys import KeyPair
from neurogrid_wallet.keystore import KdfParameters
from neurogrid_wallet.phrase import Phrase, new_phrase
from neurogrid_wallet.wallets import WalletFolder

WEAK = KdfParameters(memory_kib=7 * 1024, iterations=1, lanes=1)
KEY = KeyPair(bytes(range(32)))
OTHER = KeyPair(b"o" * 32)


@pytest.fixture
def folder(tmp_path: Path) -> WalletFolder:
    return WalletFolder(tmp_path / "wallets")


def _snapshot(path: Path) -> dict[str, bytes]:
    return {str(file.relative_to(path)): file.read_bytes() for file in path.rglob("*.json")}


def test_a_wallet_of_a_phrase_keeps_the_phrase_and_the_key(folder: WalletFolder) -> None:
    phrase = new_phrase()
    created = folder.create("main", phrase, "passphrase", backed_up=True, kdf=WEAK)
    opened = folder.open("main")
    assert opened == created
    assert opened.address == phrase.key().address
    assert opened.unlock("passphrase") == phrase.key()
    assert opened.secret("passphrase") == phrase
    assert opened.keystore_path.stat().st_mode & 0o077 == 0
    assert opened.path.stat().st_mode & 0o077 == 0


def test_a_wallet_of_a_key_has_no_phrase(folder: WalletFolder) -> None:
    folder.create("main", KEY, "passphrase", backed_up=True, kdf=WEAK)
    assert folder.open().secret("passphrase") == KEY


def test_the_first_wallet_is_the_default_until_another_is_chosen(folder: WalletFolder) -> None:
    assert folder.names() == []
    with pytest.raises(WalletUnknown, match="default"):
        folder.open()
    folder.watch("first", KEY.address)
    folder.watch("another", OTHER.address)
    assert folder.names() == ["another", "first"]
    assert folder.open().name == "first"
    folder.set_default("another")
    assert folder.open().address == OTHER.address
    with pytest.raises(WalletUnknown):
        folder.set_default("third")
    assert folder.default() == "another"


def test_a_wallet_that_is_not_backed_up_cannot_be_used(folder: WalletFolder) -> None:
    phrase = new_phrase(12)
    wallet = folder.create("main", phrase, "passphrase", backed_up=False, kdf=WEAK)
    with pytest.raises(BackupMissing):
        wallet.require_usable()
    with pytest.raises(BackupMissing):
        wallet.unlock("passphrase")
    # The phrase can be shown as often as it takes.
    assert wallet.secret("passphrase") == phrase
    assert folder.mark_backed_up("main").unlock("passphrase") == phrase.key()
    assert folder.open("main").backed_up


def test_a_watched_wallet_shows_an_address_and_signs_nothing(folder: WalletFolder) -> None:
    wallet = folder.watch("cold", KEY.address)
    wallet.require_usable()
    assert folder.open("cold").address == KEY.address
    for refused in (wallet.require_key, lambda: wallet.unlock("x"), lambda: wallet.secret("x")):
        with pytest.raises(WatchOnly, match="cold"):
            refused()
    with pytest.raises(WatchOnly):
        folder.change_passphrase("cold", "x", "y")
    with pytest.raises(KeyInvalid):
        folder.watch("bad", "not an address")
    assert folder.names() == ["cold"]


def test_a_name_is_taken_once(folder: WalletFolder) -> None:
    folder.create("main", KEY, "passphrase", backed_up=True, kdf=WEAK)
    before = _snapshot(folder.path)
    with pytest.raises(WalletExists):
        folder.create("main", OTHER, "passphrase", backed_up=True, kdf=WEAK)
    with pytest.raises(WalletExists):
        folder.watch("main", OTHER.address)
    assert _snapshot(folder.path) == before
    assert not list(folder.path.glob(".*.partial"))


@pytest.mark.parametrize("name", ["", "..", "a/b", "Main", ".hidden", "x" * 33, "é", "-x", "a\n"])
def test_a_name_is_no_path(folder: WalletFolder, name: str) -> None:
    with pytest.raises(WalletUnknown, match="name"):
        folder.watch(name, KEY.address)
    with pytest.raises(WalletUnknown):
        folder.open(name)


def test_another_passphrase_opens_it_afterwards_and_the_old_one_does_not(
    folder: WalletFolder,
) -> None:
    phrase = new_phrase(12)
    folder.create("main", phrase, "old", backed_up=True, kdf=WEAK)
    before = _snapshot(folder.path)
    with pytest.raises(WrongPassphrase):
        folder.change_passphrase("main", "wrong", "new", kdf=WEAK)
    assert _snapshot(folder.path) == before
    folder.change_passphrase("main", "old", "new", kdf=WEAK)
    assert folder.open().secret("new") == phrase
    with pytest.raises(WrongPassphrase):
        folder.open().unlock("old")


@pytest.mark.parametrize("secret", [KEY, Phrase(bytes(range(16)))], ids=["key", "phrase"])
@pytest.mark.parametrize("name", ["wallet.json", "keystore.json"])
def test_a_wallet_with_any_byte_changed_or_missing_is_refused_and_stays_as_it_is(
    folder: WalletFolder, name: str, secret: KeyPair | Phrase
) -> None:
    wallet = folder.create("main", secret, "passphrase", backed_up=True, kdf=WEAK)
    path = wallet.path / name
    content = path.read_bytes()
    damaged = [content[:length] for length in range(len(content))]
    for position in range(len(content)):
        altered = bytearray(content)
        # The lowest bit: the change that comes closest to another valid file.
        altered[position] ^= 1
        damaged.append(bytes(altered))
    for version in damaged:
        path.write_bytes(version)
        with pytest.raises((KeystoreError, WalletCorrupt)):
            folder.open("main").unlock("passphrase")
        assert path.read_bytes() == version
    path.write_bytes(content)
    assert folder.open("main").secret("passphrase") == secret


def test_a_watched_address_with_a_changed_letter_is_refused(folder: WalletFolder) -> None:
    path = folder.watch("cold", KEY.address).path / "wallet.json"
    fields = json.loads(path.read_text())
    fields["address"] = OTHER.address
    path.write_text(json.dumps(fields, sort_keys=True, separators=(",", ":")) + "\n")
    with pytest.raises(WalletCorrupt):
        folder.open("cold")


def _exchange_keystores(folder: WalletFolder) -> None:
    other = folder.create("other", OTHER, "passphrase", backed_up=True, kdf=WEAK)
    os.replace(other.keystore_path, folder.path / "main" / "keystore.json")


def _default_of_garbage(folder: WalletFolder) -> None:
    (folder.path / "default").write_bytes(b"\xff/..")


def _keystore_lost(folder: WalletFolder) -> None:
    (folder.path / "main" / "keystore.json").unlink()


@pytest.mark.parametrize("harm", [_exchange_keystores, _default_of_garbage, _keystore_lost])
def test_files_that_do_not_belong_together_are_named(
    folder: WalletFolder, harm: Callable[[WalletFolder], None]
) -> None:
    folder.create("main", KEY, "passphrase", backed_up=True, kdf=WEAK)
    harm(folder)
    with pytest.raises(WalletError, match=r"main|default"):
        folder.open()


_HOLDER = """
import sys
from pathlib import Path
from neurogrid_wallet.wallets import WalletFolder
with WalletFolder(Path(sys.argv[1]))._locked():
    print("locked", flush=True)
    sys.stdin.read()
"""


def test_one_process_changes_the_folder_at_a_time_and_a_killed_one_no_longer(
    folder: WalletFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder.watch("cold", KEY.address)
    monkeypatch.setattr("neurogrid_wallet.wallets._LOCK_WAIT_S", 0)
    command = [sys.executable, "-c", _HOLDER, str(folder.path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"locked\n"
        with pytest.raises(WalletBusy):
            folder.watch("second", OTHER.address)
        # Looking needs no lock.
        assert folder.open("cold").address == KEY.address
        holder.send_signal(signal.SIGKILL)
        holder.wait()
    folder.watch("second", OTHER.address)
    assert folder.names() == ["cold", "second"]
