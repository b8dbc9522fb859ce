import pytest
from hypothesis import given
from hypothesis import strategies as st
from solders.pubkey import Pubkey
from spl.token import instructions as spl
from spl.token.models import TransferCheckedParams

from neurogrid_wallet import usdc

OWNER, RECIPIENT, PAYER = (Pubkey(bytes([number]) * 32) for number in (1, 2, 3))


@given(st.binary(min_size=32, max_size=32))
def test_token_addresses_are_those_of_the_spl_library(owner: bytes) -> None:
    address = usdc.token_address(Pubkey(owner), usdc.MAINNET_MINT)
    assert address == spl.get_associated_token_address(Pubkey(owner), usdc.MAINNET_MINT)


@given(st.integers(1, 2**64 - 1))
def test_transfers_are_those_of_the_spl_library(amount: int) -> None:
    source = usdc.token_address(OWNER, usdc.MAINNET_MINT)
    destination = usdc.token_address(RECIPIENT, usdc.MAINNET_MINT)
    ours = usdc.transfer(source, destination, OWNER, usdc.MAINNET_MINT, amount)
    assert ours == spl.transfer_checked(
        TransferCheckedParams(
            program_id=usdc.TOKEN_PROGRAM,
            source=source,
            mint=usdc.MAINNET_MINT,
            dest=destination,
            owner=OWNER,
            amount=amount,
            decimals=6,
        )
    )


def test_account_creation_is_that_of_the_spl_library() -> None:
    ours = usdc.create_token_account(PAYER, RECIPIENT, usdc.DEVNET_MINT)
    assert ours == spl.create_idempotent_associated_token_account(
        PAYER, RECIPIENT, usdc.DEVNET_MINT
    )


def test_paying_creates_the_recipients_account_first() -> None:
    create, move = usdc.pay(PAYER, OWNER, RECIPIENT, usdc.MAINNET_MINT, 5)
    assert create == usdc.create_token_account(PAYER, RECIPIENT, usdc.MAINNET_MINT)
    assert move == usdc.transfer(
        usdc.token_address(OWNER, usdc.MAINNET_MINT),
        usdc.token_address(RECIPIENT, usdc.MAINNET_MINT),
        OWNER,
        usdc.MAINNET_MINT,
        5,
    )


@pytest.mark.parametrize("amount", [0, -1, 2**64])
def test_amounts_out_of_bounds_are_refused(amount: int) -> None:
    with pytest.raises(ValueError, match="cannot transfer"):
        usdc.transfer(OWNER, RECIPIENT, OWNER, usdc.MAINNET_MINT, amount)
