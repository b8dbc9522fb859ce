import pytest
from hypothesis import given
from hypothesis import strategies as st
from solders.pubkey import Pubkey

from neurogrid_marketplace import base58
from neurogrid_marketplace.errors import BadSignature, InvalidValue
from neurogrid_marketplace.identity import (
    address_bytes,
    check_signature,
    peer_id_of,
    public_key_of,
)

from .keys import person


@given(st.binary(min_size=32, max_size=32))
def test_addresses_are_written_as_solana_writes_them(data: bytes) -> None:
    text = str(Pubkey.from_bytes(data))
    assert base58.encode(data) == text
    assert address_bytes(text) == data


@given(st.binary(min_size=32, max_size=32))
def test_a_peer_id_contains_its_public_key(public_key: bytes) -> None:
    peer_id = peer_id_of(public_key)
    assert peer_id.startswith("12D3KooW")
    assert public_key_of(peer_id) == public_key


@pytest.mark.parametrize(
    "text", ["", "0OIl", "QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N", "1" * 500]
)
def test_what_is_no_ed25519_peer_id_is_refused(text: str) -> None:
    with pytest.raises(InvalidValue):
        public_key_of(text)


def test_a_signature_is_for_one_message_by_one_key() -> None:
    anna, bert = person("anna"), person("bert")
    signature = anna.sign(b"yes")
    check_signature(public_key_of(anna.peer_id), b"yes", signature)
    with pytest.raises(BadSignature):
        check_signature(public_key_of(anna.peer_id), b"no", signature)
    with pytest.raises(BadSignature):
        check_signature(public_key_of(bert.peer_id), b"yes", signature)
    with pytest.raises(BadSignature):
        check_signature(b"\xff" * 32, b"yes", signature)
