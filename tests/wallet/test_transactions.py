import pytest
from hypothesis import given
from hypothesis import strategies as st
from solders.address_lookup_table_account import AddressLookupTableAccount
from solders.compute_budget import set_compute_unit_limit, set_compute_unit_price
from solders.hash import Hash
from solders.instruction import AccountMeta, Instruction
from solders.pubkey import Pubkey
from solders.transaction import VersionedTransaction

from neurogrid_wallet.errors import SignerMissing, TransactionInvalid, TransactionTooLarge
from neurogrid_wallet.keys import KeyPair
from neurogrid_wallet.transactions import (
    COMPUTE_UNITS_MAX,
    FIRST_INSTRUCTION_INDEX,
    TRANSACTION_BYTES_MAX,
    ComputeBudget,
    build_transaction,
    required_signers,
    sets_compute_budget,
    signature_of,
    signers_from,
)

ALICE, BOB = KeyPair(b"a" * 32), KeyPair(b"b" * 32)
PAYER, OTHER = Pubkey(ALICE.public_key), Pubkey(BOB.public_key)
PROGRAM = Pubkey(b"p" * 32)
BLOCKHASH = Hash(b"h" * 32)


def _instruction(data: bytes = b"", *accounts: AccountMeta) -> Instruction:
    return Instruction(PROGRAM, data, list(accounts))


def _signed_by(*keys: Pubkey) -> Instruction:
    return _instruction(b"", *(AccountMeta(key, True, False) for key in keys))


def _account(number: int) -> Pubkey:
    return Pubkey(number.to_bytes(32, "big"))


def test_a_transaction_is_version_0_and_its_signatures_hold() -> None:
    raw = build_transaction(
        [_signed_by(OTHER)], PAYER, [BOB.to_solders(), ALICE.to_solders()], BLOCKHASH
    )
    transaction = VersionedTransaction.from_bytes(raw)
    assert transaction.version() == 0
    assert transaction.message.recent_blockhash == BLOCKHASH
    assert transaction.message.account_keys[:2] == [PAYER, OTHER]
    transaction.verify_and_hash_message()
    assert signature_of(raw) == str(transaction.signatures[0])


@pytest.mark.parametrize("keys", [[], [ALICE], [BOB], [ALICE, BOB, KeyPair(b"c" * 32)]])
def test_too_few_or_too_many_keys_are_refused(keys: list[KeyPair]) -> None:
    with pytest.raises(SignerMissing, match=BOB.address):
        build_transaction([_signed_by(OTHER)], PAYER, [key.to_solders() for key in keys], BLOCKHASH)


@given(st.integers(0, 1000))
def test_what_fits_a_packet_is_signed(length: int) -> None:
    raw = build_transaction([_instruction(bytes(length))], PAYER, [ALICE.to_solders()], BLOCKHASH)
    assert length < len(raw) <= TRANSACTION_BYTES_MAX


@given(st.integers(TRANSACTION_BYTES_MAX, 200_000))
def test_what_does_not_fit_a_packet_is_refused(length: int) -> None:
    with pytest.raises(TransactionTooLarge):
        build_transaction([_instruction(bytes(length))], PAYER, [ALICE.to_solders()], BLOCKHASH)


def test_the_largest_transaction_is_exactly_one_packet() -> None:
    overhead = len(
        build_transaction([_instruction(bytes(200))], PAYER, [ALICE.to_solders()], BLOCKHASH)
    )
    fits = bytes(200 + TRANSACTION_BYTES_MAX - overhead)
    raw = build_transaction([_instruction(fits)], PAYER, [ALICE.to_solders()], BLOCKHASH)
    assert len(raw) == TRANSACTION_BYTES_MAX
    with pytest.raises(TransactionTooLarge, match="1233 bytes"):
        build_transaction([_instruction(fits + b"x")], PAYER, [ALICE.to_solders()], BLOCKHASH)


def test_a_lookup_table_makes_room() -> None:
    accounts = [_account(number) for number in range(1, 101)]
    instruction = _instruction(b"", *(AccountMeta(key, False, True) for key in accounts))
    signers = [ALICE.to_solders()]
    with pytest.raises(TransactionTooLarge):
        build_transaction([instruction], PAYER, signers, BLOCKHASH)
    table = AddressLookupTableAccount(_account(1000), accounts)
    raw = build_transaction([instruction], PAYER, signers, BLOCKHASH, lookup_tables=[table])
    assert len(raw) < 500


def test_more_accounts_than_an_index_can_name_are_refused() -> None:
    accounts = [_account(number) for number in range(1, 301)]
    tables = [
        AddressLookupTableAccount(_account(1000 + start), accounts[start : start + 150])
        for start in (0, 150)
    ]
    instruction = _instruction(b"", *(AccountMeta(key, False, True) for key in accounts))
    with pytest.raises(TransactionInvalid, match="cannot compile"):
        build_transaction(
            [instruction], PAYER, [ALICE.to_solders()], BLOCKHASH, lookup_tables=tables
        )


def test_required_signers_are_the_payer_and_then_the_others_once() -> None:
    third = _account(3)
    instructions = [_signed_by(OTHER, PAYER), _signed_by(third, OTHER), _instruction()]
    assert required_signers(instructions, PAYER) == [PAYER, OTHER, third]


def test_a_signer_source_gives_what_it_holds_and_names_what_it_lacks() -> None:
    signers = signers_from([ALICE, BOB])
    assert signers([OTHER, PAYER]) == [BOB.to_solders(), ALICE.to_solders()]
    with pytest.raises(SignerMissing, match=str(PROGRAM)):
        signers([PAYER, PROGRAM])


def test_a_budget_moves_no_instruction_whether_or_not_it_has_a_price() -> None:
    own = [_instruction()]
    free, priced = ComputeBudget(1000), ComputeBudget(1000, unit_price_micro_lamports=5)
    assert free.around(own) == [set_compute_unit_limit(1000), *own]
    assert free.around([], 7) == [set_compute_unit_limit(1007)]
    assert priced.around(own) == [*free.around(own), set_compute_unit_price(5)]
    assert priced.around(own)[FIRST_INSTRUCTION_INDEX:][:1] == own
    assert sets_compute_budget(free.around([]))
    assert not sets_compute_budget([_instruction()])


@pytest.mark.parametrize("unit_limit", [0, -1, COMPUTE_UNITS_MAX + 1])
def test_a_limit_out_of_bounds_is_refused(unit_limit: int) -> None:
    with pytest.raises(ValueError, match="unit_limit"):
        ComputeBudget(unit_limit)


@pytest.mark.parametrize("price", [-1, 2**64])
def test_a_price_out_of_bounds_is_refused(price: int) -> None:
    with pytest.raises(ValueError, match="unit_price"):
        ComputeBudget(unit_price_micro_lamports=price)
