import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurogrid_marketplace.errors import InvalidValue
from neurogrid_marketplace.voucher import U64_MAX, VOUCHER_BYTES, Voucher

u64 = st.integers(0, U64_MAX)
vouchers = st.builds(Voucher, u64, st.binary(min_size=32, max_size=32), u64, u64)


@given(vouchers)
def test_the_bytes_are_at_the_places_that_the_program_reads(voucher: Voucher) -> None:
    message = voucher.message()
    assert len(message) == VOUCHER_BYTES
    assert message[:8] == b"NGVOUCH1"
    assert int.from_bytes(message[8:16], "little") == voucher.domain
    assert message[16:48] == voucher.escrow
    assert int.from_bytes(message[48:56], "little") == voucher.sequence
    assert int.from_bytes(message[56:64], "little") == voucher.cumulative_micro_usdc
    assert message[64:] == bytes(8)


@given(vouchers, vouchers)
def test_no_two_vouchers_have_the_same_bytes(one: Voucher, other: Voucher) -> None:
    assert (one.message() == other.message()) == (one == other)


def test_amounts_beyond_u64_are_refused() -> None:
    with pytest.raises(InvalidValue, match="64-bit"):
        Voucher(0, bytes(32), 0, U64_MAX + 1)
