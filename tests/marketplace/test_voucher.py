import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurogrid_marketplace.voucher import U64_MAX, VOUCHER_BYTES, Voucher, parse_voucher

u64 = st.integers(0, U64_MAX)
vouchers = st.builds(Voucher, u64, st.binary(min_size=32, max_size=32), u64, u64)


@given(vouchers)
def test_a_voucher_reads_back(voucher: Voucher) -> None:
    assert len(voucher.message()) == VOUCHER_BYTES
    assert parse_voucher(voucher.message()) == voucher


@given(vouchers, vouchers)
def test_no_two_vouchers_have_the_same_bytes(one: Voucher, other: Voucher) -> None:
    assert (one.message() == other.message()) == (one == other)


@pytest.mark.parametrize(
    "message", [b"", b"x" * 72, b"NGVOUCH1" + b"\0" * 63, b"NGVOUCH1" + b"\xff" * 64]
)
def test_what_is_no_voucher_is_refused(message: bytes) -> None:
    with pytest.raises(ValueError, match="voucher"):
        parse_voucher(message)


def test_amounts_beyond_u64_are_refused() -> None:
    with pytest.raises(ValueError, match="64-bit"):
        Voucher(0, bytes(32), 0, U64_MAX + 1)
