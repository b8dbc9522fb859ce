import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from solders.keypair import Keypair
from solders.signature import Signature

from neurogrid_wallet.errors import (
    KeyInvalid,
    SecretFileError,
    SecretFileExists,
    SecretFilePermissions,
)
from neurogrid_wallet.keys import KeyPair, address_of, public_key_of, verify

SEED = bytes(range(32))


@given(st.binary(min_size=32, max_size=32), st.binary(max_size=200))
def test_keys_and_signatures_agree_with_solders(seed: bytes, message: bytes) -> None:
    key, solders = KeyPair(seed), Keypair.from_seed(seed)
    assert key.public_key == bytes(solders.pubkey())
    assert key.address == str(solders.pubkey())
    assert key.sign(message) == bytes(solders.sign_message(message))
    assert key.to_solders() == solders


def test_a_signature_holds_for_its_message_and_its_key_alone() -> None:
    key, other = KeyPair(SEED), KeyPair.generate()
    signature = key.sign(b"message")
    assert verify(key.public_key, b"message", signature)
    assert not verify(key.public_key, b"messagf", signature)
    assert not verify(other.public_key, b"message", signature)
    assert not verify(key.public_key, b"message", signature[:-1])
    assert not verify(key.public_key[:-1], b"message", signature)
    assert not verify(b"\xff" * 32, b"message", bytes(Signature.default()))


@pytest.mark.parametrize("length", [0, 31, 33, 64])
def test_a_seed_has_32_bytes(length: int) -> None:
    with pytest.raises(KeyInvalid):
        KeyPair(bytes(length))


def test_addresses_and_public_keys_convert_both_ways() -> None:
    key = KeyPair(SEED)
    assert address_of(key.public_key) == key.address
    assert public_key_of(key.address) == key.public_key
    with pytest.raises(KeyInvalid):
        address_of(b"short")


def test_a_derived_key_is_the_same_every_time() -> None:
    key = KeyPair(SEED)
    assert key.derive(b"voucher").address == key.derive(b"voucher").address
    # Pinned: another value would make every session key ever derived unreachable.
    assert key.derive(b"voucher").address == "EuBfoyMt2ZvVNVEbRKCiKGqTn6NVJ91YX2Tt2dFqVP9Q"


def test_derived_keys_differ_by_purpose_and_by_parent() -> None:
    key = KeyPair(SEED)
    addresses = {
        key.address,
        key.derive(b"a").address,
        key.derive(b"b").address,
        KeyPair.generate().derive(b"a").address,
    }
    assert len(addresses) == 4


def test_a_derived_key_needs_a_purpose() -> None:
    with pytest.raises(KeyInvalid):
        KeyPair(SEED).derive(b"")


def test_the_seed_does_not_show() -> None:
    key = KeyPair(SEED)
    assert repr(key) == f"KeyPair({key.address})"
    assert not hasattr(key, "__dict__")


def test_equal_seeds_are_equal_keys() -> None:
    assert KeyPair(SEED) == KeyPair(SEED)
    assert KeyPair(SEED) != KeyPair.generate()
    assert len({KeyPair(SEED), KeyPair(SEED)}) == 1


def test_a_solana_key_file_is_read_back(tmp_path: Path) -> None:
    path = tmp_path / "id.json"
    key = KeyPair.generate()
    key.write_solana_file(path)
    assert KeyPair.read_solana_file(path) == key
    assert Keypair.from_json(path.read_text()) == key.to_solders()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_an_existing_key_file_is_only_replaced_when_asked(tmp_path: Path) -> None:
    path = tmp_path / "id.json"
    first, second = KeyPair.generate(), KeyPair.generate()
    first.write_solana_file(path)
    with pytest.raises(SecretFileExists):
        second.write_solana_file(path)
    assert KeyPair.read_solana_file(path) == first
    second.write_solana_file(path, overwrite=True)
    assert KeyPair.read_solana_file(path) == second
    assert [entry.name for entry in tmp_path.iterdir()] == ["id.json"]


def _numbers(secret: bytes) -> str:
    return json.dumps(list(secret))


@pytest.mark.parametrize(
    "content",
    [
        "",
        "not json",
        "{}",
        "[" * 5000,
        _numbers(SEED),
        _numbers(SEED + bytes(32)),
        json.dumps([*range(63), 256]),
        json.dumps([*range(63), -1]),
        json.dumps([*range(63), True]),
        json.dumps([*range(63), 1.5]),
        json.dumps("x" * 64),
    ],
)
def test_what_is_no_solana_key_file_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "id.json"
    path.write_text(content)
    path.chmod(0o600)
    with pytest.raises(KeyInvalid):
        KeyPair.read_solana_file(path)


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o660, 0o610])
def test_a_key_file_that_others_may_use_is_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "id.json"
    KeyPair.generate().write_solana_file(path)
    path.chmod(mode)
    with pytest.raises(SecretFilePermissions):
        KeyPair.read_solana_file(path)


def test_a_missing_key_file_is_said_to_be_missing(tmp_path: Path) -> None:
    with pytest.raises(SecretFileError, match="No such file"):
        KeyPair.read_solana_file(tmp_path / "id.json")


def test_keys_load_nothing_of_solana() -> None:
    program = (
        "import sys, neurogrid_wallet.keys, neurogrid_wallet.keystore;"
        "print([name for name in sys.modules"
        " if name.split('.')[0] in ('solana', 'solders', 'spl', 'pydantic', 'httpx2', 'anyio')])"
    )
    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, env=os.environ
    )
    assert result.stdout.strip() == "[]"
