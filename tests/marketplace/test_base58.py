"""Base58 agrees with solders', which has it for 32 bytes only, and reads back what it wrote."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from solders.pubkey import Pubkey

from neurogrid_marketplace import base58


@given(st.binary(min_size=32, max_size=32))
def test_agrees_with_solders(data: bytes) -> None:
    assert base58.encode(data) == str(Pubkey(data))


@given(st.binary(max_size=200))
def test_reads_back_what_it_wrote(data: bytes) -> None:
    assert base58.decode(base58.encode(data)) == data


def test_the_largest_transaction_fits() -> None:
    assert base58.decode(base58.encode(b"\xff" * 1232)) == b"\xff" * 1232


@pytest.mark.parametrize("text", ["0", "O", "I", "l", "é", "1" * 2049])
def test_refuses_other_text(text: str) -> None:
    with pytest.raises(ValueError, match=r"base58"):
        base58.decode(text)


@pytest.mark.parametrize("text", ["", "1" * 31, "1" * 33, "z" * 89])
def test_what_does_not_have_the_length_that_is_asked_for_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"base58|bytes"):
        base58.decode(text, 32)
