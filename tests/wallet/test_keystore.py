import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from neurogrid_wallet.errors import (
    KeystoreCorrupt,
    KeystoreError,
    PassphraseMissing,
    SecretFileExists,
    SecretFilePermissions,
    WrongPassphrase,
)
from neurogrid_wallet.keys import KeyPair
from neurogrid_wallet.keystore import (
    KdfParameters,
    keystore_address,
    load_keystore,
    save_keystore,
)

# As weak as is allowed: a guess takes 5 ms.
WEAK = KdfParameters(memory_kib=7 * 1024, iterations=1, lanes=1)
KEY = KeyPair(bytes(range(32)))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "keystore.json"
    save_keystore(path, KEY, "passphrase", kdf=WEAK)
    return path


def test_the_key_comes_back(path: Path) -> None:
    assert load_keystore(path, "passphrase").seed == KEY.seed
    assert keystore_address(path) == KEY.address


def test_the_default_parameters_work(tmp_path: Path) -> None:
    save_keystore(tmp_path / "keystore.json", KEY, "pässphräse")
    assert load_keystore(tmp_path / "keystore.json", "pässphräse") == KEY


def test_the_seed_is_not_in_the_file(path: Path) -> None:
    assert KEY.seed.hex() not in path.read_text()


def test_two_files_of_one_key_share_nothing_secret(path: Path, tmp_path: Path) -> None:
    save_keystore(tmp_path / "second.json", KEY, "passphrase", kdf=WEAK)
    first, second = (json.loads(entry.read_text()) for entry in (path, tmp_path / "second.json"))
    assert first["kdf"]["salt"] != second["kdf"]["salt"]
    assert first["cipher"]["nonce"] != second["cipher"]["nonce"]
    assert first["sealed_seed"] != second["sealed_seed"]


@pytest.mark.parametrize("passphrase", ["", "Passphrase", "passphrase "])
def test_another_passphrase_is_refused(path: Path, passphrase: str) -> None:
    with pytest.raises(WrongPassphrase):
        load_keystore(path, passphrase)


def test_a_change_of_any_byte_is_refused(path: Path) -> None:
    content = path.read_bytes()
    for position in range(len(content)):
        altered = bytearray(content)
        # The lowest bit: the change that comes closest to another valid file.
        altered[position] ^= 1
        path.write_bytes(altered)
        with pytest.raises(KeystoreError):
            load_keystore(path, "passphrase")


def test_a_truncated_or_extended_file_is_refused(path: Path) -> None:
    content = path.read_bytes()
    for altered in (*(content[:length] for length in range(len(content))), content + b"\n"):
        path.write_bytes(altered)
        with pytest.raises(KeystoreCorrupt):
            load_keystore(path, "passphrase")


def test_another_spelling_of_the_same_json_is_refused(path: Path) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()), indent=2))
    with pytest.raises(KeystoreCorrupt):
        load_keystore(path, "passphrase")


def _set(*names: str, value: Any) -> Callable[[dict[str, Any]], None]:
    def change(fields: dict[str, Any]) -> None:
        for name in names[:-1]:
            fields = fields[name]
        fields[names[-1]] = value

    return change


@pytest.mark.parametrize(
    "change",
    [
        _set("kdf", "memory_kib", value=100 * 1024 * 1024),
        _set("kdf", "memory_kib", value=2**80),
        _set("kdf", "memory_kib", value=8),
        _set("kdf", "memory_kib", value=-1),
        _set("kdf", "memory_kib", value=7168.0),
        _set("kdf", "iterations", value=10**9),
        _set("kdf", "iterations", value=0),
        _set("kdf", "iterations", value=True),
        _set("kdf", "lanes", value=4096),
        _set("kdf", "salt", value=""),
        _set("kdf", "salt", value="ab" * 5000),
        _set("kdf", "name", value="argon2i"),
        _set("kdf", value=[]),
        _set("cipher", "name", value="none"),
        _set("cipher", "nonce", value="00"),
        _set("sealed_seed", value=""),
        _set("sealed_seed", value=None),
        _set("address", value=["not", "text"]),
        _set("address", value="0OIl"),
        _set("format", value="something else"),
        _set("version", value=2),
        _set("extra", value=1),
    ],
)
def test_absurd_contents_are_refused_before_any_work(
    path: Path, change: Callable[[dict[str, Any]], None]
) -> None:
    fields = json.loads(path.read_text())
    change(fields)
    path.write_text(json.dumps(fields, sort_keys=True, separators=(",", ":")) + "\n")
    with pytest.raises(KeystoreCorrupt):
        load_keystore(path, "passphrase")


def test_a_well_formed_change_of_the_header_is_refused(path: Path) -> None:
    fields = json.loads(path.read_text())
    fields["address"] = KeyPair.generate().address
    path.write_text(json.dumps(fields, sort_keys=True, separators=(",", ":")) + "\n")
    with pytest.raises(WrongPassphrase):
        load_keystore(path, "passphrase")


@pytest.mark.parametrize(
    "parameters",
    [{"memory_kib": 1024}, {"memory_kib": 2**30}, {"iterations": 0}, {"lanes": 17}],
)
def test_parameters_out_of_bounds_are_never_written(parameters: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="must be between"):
        KdfParameters(**parameters)


def test_an_existing_keystore_is_only_replaced_when_asked(path: Path) -> None:
    other = KeyPair.generate()
    with pytest.raises(SecretFileExists):
        save_keystore(path, other, "passphrase", kdf=WEAK)
    assert load_keystore(path, "passphrase") == KEY
    save_keystore(path, other, "passphrase", kdf=WEAK, overwrite=True)
    assert load_keystore(path, "passphrase") == other


def test_an_empty_passphrase_seals_nothing(tmp_path: Path) -> None:
    with pytest.raises(PassphraseMissing):
        save_keystore(tmp_path / "keystore.json", KEY, "", kdf=WEAK)
    assert list(tmp_path.iterdir()) == []


def test_a_keystore_that_others_may_read_is_refused(path: Path) -> None:
    path.chmod(0o640)
    with pytest.raises(SecretFilePermissions):
        load_keystore(path, "passphrase")
    with pytest.raises(SecretFilePermissions):
        keystore_address(path)
