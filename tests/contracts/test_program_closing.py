"""Accounts that are closed: empty ones only, by their owner, and without a way back for the past."""

import pytest
from solders.instruction import Instruction
from solders.pubkey import Pubkey
from solders.system_program import TransferParams, transfer

from contracts.program_parties import DAY_S, DEPOSIT, FUNDS, NOW, STAKE, TERMS, USDC, with_account
from contracts.program_world import World
from neurogrid_contracts.errors import ProgramErrorCode as Code

CLIENT_RENT, VAULT_RENT = 2_282_880, 2_039_280


@pytest.fixture
def world() -> World:
    return World()


def empty_client(world: World) -> None:
    """Take everything out; a slot later the account may be closed."""
    world.do(world.withdraw(world.client_account().balance_micro_usdc))
    world.set_time(world.now + 1)


def empty_provider(world: World) -> None:
    world.do(world.request_unstake(world.provider_account().staked_micro_usdc))
    world.set_time(world.provider_account().unbonding_until_unix_s)
    world.do(world.withdraw_stake())


# --- leaving ---


def test_a_client_leaves_with_everything(world: World) -> None:
    vault, account = world.client_account().vault, world.deployment.client(world.client.pubkey())
    empty_client(world)
    before = world.lamports(world.client.pubkey())
    world.do(world.close_client())
    assert world.lamports(world.client.pubkey()) == before + CLIENT_RENT + VAULT_RENT
    assert world.lamports(vault) == world.lamports(account) == 0
    assert world.amount(world.usdc(world.client)) == FUNDS


def test_a_provider_leaves_with_everything(world: World) -> None:
    vault = world.provider_account().vault
    account = world.deployment.provider(world.provider.pubkey())
    empty_provider(world)
    world.do(world.close_provider())
    assert world.lamports(vault) == world.lamports(account) == 0
    assert world.amount(world.usdc(world.provider)) == FUNDS


def test_a_donation_does_not_keep_an_account_open(world: World) -> None:
    world.donate(world.client_account().vault, 77)
    world.do(world.withdraw(DEPOSIT), donated=77)
    world.set_time(NOW + 1)
    world.do(world.close_client())
    assert world.amount(world.usdc(world.client)) == FUNDS + 77


def test_a_client_may_come_back(world: World) -> None:
    empty_client(world)
    world.do(world.close_client())
    world.do(world.open_client(), world.deposit(USDC))
    client = world.client_account()
    assert (client.balance_micro_usdc, client.operator, client.spent_micro_usdc) == (USDC, None, 0)


def test_a_provider_may_come_back_with_another_payout_wallet(world: World) -> None:
    empty_provider(world)
    world.do(world.close_provider(), world.register_provider(payout_owner=world.provider))
    assert world.provider_account().payout_owner == world.provider.pubkey()


# --- not while anything is left ---


def test_a_client_with_money_is_not_closed(world: World) -> None:
    world.set_time(NOW + 1)
    world.refuse(Code.NOT_EMPTY, world.close_client())
    world.do(world.withdraw(DEPOSIT - 1))
    world.refuse(Code.NOT_EMPTY, world.close_client())


def test_a_client_with_an_open_escrow_is_not_closed(world: World) -> None:
    """Also when all of its money was paid out and only the promise is left."""
    world.do(world.open())
    world.do(world.release(100 * USDC))
    empty_client(world)
    world.refuse(Code.NOT_EMPTY, world.close_client())
    world.do(world.relinquish())
    world.do(world.close_client())


def test_a_provider_with_stake_is_not_closed(world: World) -> None:
    world.refuse(Code.NOT_EMPTY, world.close_provider())
    world.do(world.request_unstake(STAKE))
    world.set_time(NOW + TERMS.unbonding_window_s)
    world.refuse(Code.NOT_EMPTY, world.close_provider())
    world.do(world.withdraw_stake())
    world.do(world.close_provider())


def test_a_provider_with_an_open_escrow_is_not_closed(world: World) -> None:
    """Or its stake's account would be gone when the escrow's dispute is decided."""
    world.do(world.open(deadline=NOW + 3 * DAY_S))
    empty_provider(world)
    world.refuse(Code.NOT_EMPTY, world.close_provider())
    world.do(world.relinquish())
    world.do(world.close_provider())


def test_an_offer_keeps_a_provider_open_until_it_declines(world: World) -> None:
    world.do(world.open(offered=True, deadline=NOW + 3 * DAY_S))
    empty_provider(world)
    world.refuse(Code.NOT_EMPTY, world.close_provider())
    world.do(world.relinquish(), world.close_provider())


def test_nobody_closes_anothers_account(world: World) -> None:
    empty_client(world)
    empty_provider(world)
    for step in (world.close_client(to=world.mallory), world.close_provider(to=world.mallory)):
        world.refuse(Code.NOT_AUTHORIZED, with_account(step, 0, world.mallory.pubkey()))
        world.refuse(Code.MISSING_SIGNER, with_account(step, 0, signer=False))
    operator = with_account(world.close_client(), 0, world.operator.pubkey())
    world.refuse(Code.NOT_AUTHORIZED, operator)


def test_an_account_is_not_closed_with_anothers_vault(world: World) -> None:
    empty_client(world)
    others = world.deployment.vault(world.deployment.client(world.another_client().pubkey()))
    world.refuse(Code.WRONG_LINK, with_account(world.close_client(), 3, others))


def test_a_vault_does_not_empty_itself_into_itself(world: World) -> None:
    empty_client(world)
    vault = world.client_account().vault
    world.refuse(Code.DUPLICATE_ACCOUNT, with_account(world.close_client(), 4, vault))


def test_an_account_is_closed_once(world: World) -> None:
    empty_client(world)
    world.refuse(Code.WRONG_OWNER, world.close_client(), world.close_client())
    world.do(world.close_client())
    world.refuse(Code.WRONG_OWNER, world.close_client())


# --- no revival ---


def refill(world: World, address: Pubkey) -> Instruction:
    """Mallory pays an account's rent anew."""
    return transfer(
        TransferParams(from_pubkey=world.mallory.pubkey(), to_pubkey=address, lamports=10**7)
    )


def test_a_closed_client_is_not_revived_by_funding_it(world: World) -> None:
    empty_client(world)
    funded = refill(world, world.deployment.client(world.client.pubkey()))
    world.refuse(Code.WRONG_OWNER, world.close_client(), funded, world.set_operator())
    world.refuse(Code.WRONG_OWNER, world.close_client(), funded, world.deposit(1))
    world.do(world.close_client(), funded)
    world.refuse(Code.WRONG_OWNER, world.set_operator())
    world.do(world.open_client(), world.deposit(1))
    assert world.client_account().balance_micro_usdc == 1


def test_a_closed_provider_is_not_revived_by_funding_it(world: World) -> None:
    empty_provider(world)
    funded = refill(world, world.deployment.provider(world.provider.pubkey()))
    world.refuse(Code.WRONG_OWNER, world.close_provider(), funded, world.stake(1))
    world.do(world.close_provider(), funded)
    world.refuse(Code.WRONG_OWNER, world.open())
    world.do(world.register_provider(), world.stake(STAKE))


def test_a_reopened_client_does_not_revive_its_old_vouchers(world: World) -> None:
    """The same wallet, job id and escrow address; only the sequence tells the two apart."""
    world.do(world.open())
    proof = world.proof(100 * USDC)
    old = world.escrow_account().sequence
    world.do(world.relinquish())
    empty_client(world)
    world.do(world.close_client())
    world.do(world.open_client(), world.deposit(DEPOSIT), world.open())
    assert world.escrow_account().sequence > old
    world.refuse(Code.BAD_VOUCHER, proof, world.claim(100 * USDC))


def test_a_client_is_not_closed_and_reopened_within_a_slot(world: World) -> None:
    """Its sequence numbers would start where they started before."""
    world.do(world.open())
    world.do(world.relinquish())
    world.do(world.withdraw(DEPOSIT))
    world.refuse(Code.WRONG_TIME, world.close_client())
    world.refuse(Code.WRONG_TIME, world.close_client(), world.open_client())
    world.set_time(NOW)  # the next slot, in the same second
    world.do(world.close_client(), world.open_client())


def test_sequences_grow_from_account_to_account(world: World) -> None:
    seen = []
    for _ in range(3):
        for _ in range(3):
            world.do(world.open(USDC))
            seen.append(world.escrow_account().sequence)
            world.do(world.relinquish())
        empty_client(world)
        world.do(world.close_client())
        world.do(world.open_client(), world.deposit(USDC))
    assert seen == sorted(set(seen))


def test_a_client_that_used_its_slots_numbers_up_waits(world: World) -> None:
    """More escrows than there are numbers in its slots: it can't be, and it would be safe."""
    address = world.deployment.client(world.client.pubkey())
    account = world.svm.get_account(address)
    assert account is not None
    data = bytearray(account.data)
    ahead = (world.svm.get_clock().slot + 3) * 65_536
    data[168:176] = ahead.to_bytes(8, "little")
    world.replace_data(address, bytes(data))
    world.do(world.withdraw(DEPOSIT))
    for _ in range(3):
        world.set_time(NOW)
        world.refuse(Code.WRONG_TIME, world.close_client())
    world.set_time(NOW)
    world.do(world.close_client())


def test_a_provider_that_comes_back_finds_no_old_escrow(world: World) -> None:
    world.do(world.open(deadline=NOW + 3 * DAY_S))
    proof = world.proof(100 * USDC)
    empty_provider(world)
    world.do(world.relinquish(), world.close_provider())
    world.do(world.register_provider(payout_owner=world.mallory), world.stake(STAKE))
    claim = world.claim(100 * USDC, payout=world.usdc(world.mallory))
    world.refuse(Code.WRONG_OWNER, proof, claim)


def test_the_payout_wallet_of_open_escrows_cannot_be_exchanged(world: World) -> None:
    """A thief of the owner's key would close and register again, with a payout of his own."""
    world.do(world.open())
    world.refuse(
        Code.NOT_EMPTY,
        world.close_provider(),
        world.register_provider(payout_owner=world.mallory),
    )
