import pytest
from hypothesis import given
from hypothesis import strategies as st
from solders.pubkey import Pubkey

from neurogrid_wallet import base58
from neurogrid_wallet.errors import KeyInvalid


@given(st.binary(max_size=64))
def test_decoding_gives_back_what_was_encoded(value: bytes) -> None:
    if value:
        assert base58.decode(base58.encode(value), len(value)) == value


@given(st.binary(min_size=32, max_size=32))
def test_addresses_read_as_solana_writes_them(value: bytes) -> None:
    assert base58.encode(value) == str(Pubkey(value))


@pytest.mark.parametrize("text", ["", "0", "O", "I", "l", "é", "1" * 31, "1" * 33, "z" * 89])
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(KeyInvalid):
        base58.decode(text, 32)
