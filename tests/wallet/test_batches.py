from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from solders.address_lookup_table_account import AddressLookupTableAccount
from solders.hash import Hash
from solders.instruction import AccountMeta, Instruction
from solders.keypair import Keypair
from solders.pubkey import Pubkey

from neurogrid_wallet.batches import (
    Assembled,
    Payout,
    Span,
    culprit,
    divide,
    fits,
    one_after_the_other,
    plan,
    unit_limit,
)
from neurogrid_wallet.chain import TransactionFailure
from neurogrid_wallet.errors import PayoutTooLarge
from neurogrid_wallet.payouts import to_token_account, to_wallet
from neurogrid_wallet.transactions import (
    COMPUTE_UNITS_MAX,
    TRANSACTION_BYTES_MAX,
    ComputeBudget,
    build_transaction,
)
from neurogrid_wallet.usdc import token_address

OWNER = Keypair.from_seed(bytes(32))
MINT = Pubkey.from_bytes(bytes([1] * 32))
DESTINATIONS = [Pubkey.from_bytes(number.to_bytes(32, "big")) for number in range(1000, 1200)]
TABLE = AddressLookupTableAccount(
    Pubkey.from_bytes(bytes([2] * 32)),
    [*DESTINATIONS, MINT, token_address(OWNER.pubkey(), MINT)],
)


def transfers(count: int) -> list[Payout]:
    return [
        to_token_account(str(number), OWNER.pubkey(), to, MINT, number + 1)
        for number, to in enumerate(DESTINATIONS[:count])
    ]


def sizes(spans: Sequence[Span]) -> list[int]:
    return [span.last - span.first + 1 for span in spans]


def test_nineteen_transfers_fill_a_transaction_and_fifty_four_with_a_lookup_table() -> None:
    assert sizes(plan(transfers(60), one_after_the_other, OWNER.pubkey())) == [19, 19, 19, 3]
    with_table = plan(transfers(120), one_after_the_other, OWNER.pubkey(), [TABLE])
    assert sizes(with_table) == [54, 54, 12]


def test_payments_that_may_create_accounts_are_counted_with_what_they_call() -> None:
    payouts = [
        to_wallet(str(number), OWNER.pubkey(), OWNER.pubkey(), to, MINT, 1)
        for number, to in enumerate(DESTINATIONS[:20])
    ]
    assert sizes(plan(payouts, one_after_the_other, OWNER.pubkey()))[0] == 7


def test_nothing_to_pay_is_no_batch() -> None:
    assert plan([], one_after_the_other, OWNER.pubkey()) == []


def padded(payout_id: str, data_bytes: int, units: int = 1000, calls: int = 1) -> Payout:
    account = AccountMeta(DESTINATIONS[0], is_signer=False, is_writable=True)
    return Payout(payout_id, (Instruction(MINT, bytes(data_bytes), [account]),), units, calls, 0)


def test_a_payment_that_fits_no_transaction_is_named() -> None:
    payouts = [padded("small", 10), padded("large", TRANSACTION_BYTES_MAX)]
    with pytest.raises(PayoutTooLarge, match="large") as caught:
        plan(payouts, one_after_the_other, OWNER.pubkey())
    assert caught.value.payout_id == "large"


@pytest.mark.parametrize(
    ("payout", "together"),
    [
        (padded("", 1, units=COMPUTE_UNITS_MAX // 5), 4),
        (padded("", 1, calls=30), 2),
        (padded("", 300), 3),
    ],
)
def test_units_calls_and_bytes_each_limit_a_batch(payout: Payout, together: int) -> None:
    assert fits([payout] * together, one_after_the_other, OWNER.pubkey())
    assert not fits([payout] * (together + 1), one_after_the_other, OWNER.pubkey())


def test_no_transaction_locks_more_than_64_accounts() -> None:
    table = AddressLookupTableAccount(TABLE.key, DESTINATIONS)

    def touching(count: int) -> Payout:
        accounts = [
            AccountMeta(to, is_signer=False, is_writable=True) for to in DESTINATIONS[:count]
        ]
        return Payout("", (Instruction(MINT, b"", accounts),), 1, 1, 0)

    # Beside them: the payer, the program, the compute budget's.
    assert fits([touching(61)], one_after_the_other, OWNER.pubkey(), [table])
    assert not fits([touching(62)], one_after_the_other, OWNER.pubkey(), [table])


@given(
    st.lists(
        st.tuples(st.integers(0, 1300), st.integers(1, COMPUTE_UNITS_MAX), st.integers(1, 70)),
        max_size=40,
    ),
    st.booleans(),
)
def test_every_plan_pays_everybody_once_in_order_and_fits(
    shapes: list[tuple[int, int, int]], with_table: bool
) -> None:
    payouts = [padded(str(n), *shape) for n, shape in enumerate(shapes)]
    tables = [TABLE] if with_table else []
    try:
        spans = plan(payouts, one_after_the_other, OWNER.pubkey(), tables)
    except PayoutTooLarge as error:
        alone = [payouts[int(error.payout_id)]]
        assert not fits(alone, one_after_the_other, OWNER.pubkey(), tables)
        return
    assert [n for span in spans for n in range(span.first, span.last + 1)] == list(
        range(len(payouts))
    )
    assert spans == plan(payouts, one_after_the_other, OWNER.pubkey(), tables)
    for number, span in enumerate(spans):
        batch = payouts[span.first : span.last + 1]
        assert fits(batch, one_after_the_other, OWNER.pubkey(), tables)
        # The real transaction, at the highest price.
        budget = ComputeBudget(unit_limit(batch), 2**64 - 1)
        instructions = budget.around(one_after_the_other(batch).instructions)
        build_transaction(
            instructions, OWNER.pubkey(), [OWNER], Hash.default(), lookup_tables=tables
        )
        if number + 1 < len(spans):
            # Filled: the next payment would not have fitted any more.
            batch.append(payouts[span.last + 1])
            assert not fits(batch, one_after_the_other, OWNER.pubkey(), tables)


def failed_in(index: int | None) -> TransactionFailure:
    return TransactionFailure("Custom", index, 1)


def test_the_failed_instruction_says_which_payment_is_to_blame() -> None:
    common, one = Instruction(MINT, b"c", []), Instruction(MINT, b"1", [])
    assembled = Assembled((common,), ((one,), (one, one), (one,)))
    # The compute limit and the common one stand before them, and a price may follow.
    blamed = [culprit(failed_in(index), assembled) for index in range(7)]
    assert blamed == [None, None, 0, 1, 1, 2, None]
    assert culprit(failed_in(None), assembled) is None


def test_a_failed_batch_is_divided_around_its_culprit_or_halved() -> None:
    assert divide(Span(10, 19), 3) == [Span(10, 12), Span(13, 13), Span(14, 19)]
    assert divide(Span(10, 19), 0) == [Span(10, 10), Span(11, 19)]
    assert divide(Span(10, 19), 9) == [Span(10, 18), Span(19, 19)]
    assert divide(Span(10, 12), None) == [Span(10, 11), Span(12, 12)]


@given(st.integers(0, 50), st.integers(1, 60), st.one_of(st.none(), st.integers(0, 59)))
def test_what_a_batch_is_divided_into_is_all_of_it_and_smaller(
    first: int, count: int, guilty: int | None
) -> None:
    span = Span(first, first + count)
    guilty = None if guilty is None else min(guilty, count)
    parts = divide(span, guilty)
    members = [n for part in parts for n in range(part.first, part.last + 1)]
    assert members == list(range(span.first, span.last + 1))
    assert all(part != span for part in parts)
