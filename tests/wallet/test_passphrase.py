import getpass
from pathlib import Path

import pytest

from neurogrid_wallet.errors import PassphraseMissing, SecretFileError, SecretFilePermissions
from neurogrid_wallet.keys import KeyPair
from neurogrid_wallet.keystore import KdfParameters, load_keystore, save_keystore
from neurogrid_wallet.passphrase import ask_passphrase, read_passphrase

# As weak as is allowed: a guess takes 5 ms.
WEAK = KdfParameters(memory_kib=7 * 1024, iterations=1, lanes=1)
KEY = KeyPair(bytes(range(32)))


def test_a_passphrase_comes_from_a_file_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "passphrase"
    file.write_text(" from file \n")
    file.chmod(0o600)
    monkeypatch.setenv("KEYSTORE_PASSPHRASE", "from environment")
    assert read_passphrase(file, "KEYSTORE_PASSPHRASE", prompt=True) == " from file "
    assert read_passphrase(None, "KEYSTORE_PASSPHRASE", prompt=True) == "from environment"


def test_a_passphrase_file_that_others_may_read_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "passphrase"
    file.write_text("passphrase\n")
    file.chmod(0o644)
    with pytest.raises(SecretFilePermissions):
        read_passphrase(file, None, prompt=False)


def test_a_source_that_is_given_but_empty_is_no_reason_to_try_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    empty = tmp_path / "empty"
    empty.write_text("\n")
    empty.chmod(0o600)
    monkeypatch.setenv("KEYSTORE_PASSPHRASE", "from environment")
    with pytest.raises(PassphraseMissing):
        read_passphrase(empty, "KEYSTORE_PASSPHRASE", prompt=False)
    with pytest.raises(SecretFileError):
        read_passphrase(tmp_path / "missing", "KEYSTORE_PASSPHRASE", prompt=False)
    with pytest.raises(PassphraseMissing):
        read_passphrase(None, "KEYSTORE_PASSPHRASE_MISSPELT", prompt=False)
    with pytest.raises(PassphraseMissing):
        read_passphrase(None, None, prompt=False)


def test_a_passphrase_in_bytes_that_are_no_text_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KEYSTORE_PASSPHRASE", b"\xff\xfe".decode(errors="surrogateescape"))
    passphrase = read_passphrase(None, "KEYSTORE_PASSPHRASE", prompt=False)
    save_keystore(tmp_path / "keystore.json", KEY, passphrase, kdf=WEAK)
    assert load_keystore(tmp_path / "keystore.json", passphrase) == KEY
    file = tmp_path / "passphrase"
    file.write_bytes(b"\xff\xfe")
    file.chmod(0o600)
    with pytest.raises(PassphraseMissing, match="UTF-8"):
        read_passphrase(file, None, prompt=False)


def test_a_new_passphrase_is_typed_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    typed = ["one", "two", "same", "same", "once"]
    monkeypatch.setattr(getpass, "getpass", lambda prompt: typed.pop(0))
    with pytest.raises(PassphraseMissing, match="differ"):
        read_passphrase(None, None, prompt=True, confirm=True)
    assert read_passphrase(None, None, prompt=True, confirm=True) == "same"
    assert read_passphrase(None, None, prompt=True) == "once"


def test_no_terminal_is_no_passphrase(monkeypatch: pytest.MonkeyPatch) -> None:
    def closed(prompt: str) -> str:
        raise EOFError

    monkeypatch.setattr(getpass, "getpass", closed)
    with pytest.raises(PassphraseMissing, match="terminal"):
        read_passphrase(None, None, prompt=True)


def test_a_command_takes_the_file_before_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "passphrase"
    file.write_text("from file\n")
    file.chmod(0o600)
    monkeypatch.setenv("NEUROGRID_PASSPHRASE", "from environment")
    assert ask_passphrase(file) == "from file"
    assert ask_passphrase(None) == "from environment"
