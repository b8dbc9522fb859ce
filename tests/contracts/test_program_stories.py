"""Attacks that take several steps: each is a story of what somebody might try."""

from solders.system_program import TransferParams, transfer

from contracts.program_parties import (
    DEPOSIT,
    NOW,
    OPERATOR_LIMIT,
    STAKE,
    TERMS,
    USDC,
    job_id,
    with_account,
)
from contracts.program_world import World
from neurogrid_contracts.errors import ProgramErrorCode as Code


def test_a_release_signed_again_never_pays_twice() -> None:
    world = World()
    world.do(world.open())
    world.do(world.release(10 * USDC))
    world.refuse(Code.STALE_RELEASE, world.release(10 * USDC))


def test_a_client_cannot_pull_the_rest_back_alone() -> None:
    """The rug: 'final, nothing more to pay', while the provider holds an unredeemed voucher."""
    world = World()
    world.do(world.open())
    world.do(world.release(0, final=True))
    world.refuse(Code.WRONG_TIME, world.refund())
    assert world.escrow_account().remaining_micro_usdc == 100 * USDC


def test_a_client_cannot_name_the_provider_without_its_signature() -> None:
    """close_to without the provider's signature is only a final release: nothing closes."""
    world = World()
    world.do(world.open())
    closing = world.release(1, final=True, close_to=world.client)
    world.do(with_account(closing, 9, signer=False))
    assert not world.is_closed()


def test_an_expired_operator_can_do_nothing() -> None:
    world = World()
    world.do(world.set_operator(expiry=NOW + 100))
    world.do(world.open(by=world.operator))
    world.set_time(NOW + 100)
    world.refuse(Code.WRONG_TIME, world.open(by=world.operator, job=job_id("second")))
    world.refuse(Code.WRONG_TIME, world.release(1, by=world.operator))
    world.refuse(Code.WRONG_TIME, world.dispute(by=world.operator))


def test_an_operators_limit_counts_all_its_escrows() -> None:
    world = World()
    world.do(world.open(OPERATOR_LIMIT, by=world.operator))
    world.refuse(Code.OVER_LIMIT, world.open(1, by=world.operator, job=job_id("second")))


def test_what_an_escrow_paid_does_not_come_back_to_the_operators_limit() -> None:
    world = World()
    world.do(world.open(OPERATOR_LIMIT, by=world.operator))
    world.do(world.release(60 * USDC, by=world.operator))
    world.do(world.relinquish(rent_payer=world.operator))
    left = OPERATOR_LIMIT - 60 * USDC
    assert world.client_account().operator_limit_micro_usdc == left
    world.refuse(Code.OVER_LIMIT, world.open(left + 1, by=world.operator))


def test_a_provider_below_the_minimum_gets_no_escrow() -> None:
    world = World()
    world.do(world.request_unstake(STAKE - TERMS.min_stake_micro_usdc + 1))
    world.refuse(Code.INSUFFICIENT_STAKE, world.open())


def test_unbonding_stake_does_not_leave_early() -> None:
    world = World()
    world.do(world.request_unstake(STAKE))
    world.set_time(NOW + TERMS.unbonding_window_s - 1)
    world.refuse(Code.WRONG_TIME, world.withdraw_stake())


def test_another_wallet_cannot_withdraw_unbonded_stake() -> None:
    world = World()
    world.do(world.request_unstake(STAKE))
    world.set_time(NOW + TERMS.unbonding_window_s)
    world.refuse(
        Code.NOT_AUTHORIZED, with_account(world.withdraw_stake(), 0, world.mallory.pubkey())
    )


def test_stake_that_backs_an_escrow_cannot_leave_before_its_dispute_ends() -> None:
    world = World()
    world.do(world.open(deadline=NOW + world.config_account().longest_escrow_s))
    world.do(world.request_unstake(STAKE))
    world.set_time(world.escrow_account().claim_until_unix_s)
    world.do(world.dispute())
    world.refuse(Code.WRONG_TIME, world.withdraw_stake())
    world.do(world.slash(STAKE // 2))


def test_one_dispute_slashes_once() -> None:
    world = World()
    world.do(world.open())
    world.do(world.dispute())
    world.do(world.slash(1))
    world.refuse(Code.WRONG_STATE, world.slash(1))


def test_a_dispute_comes_too_late_after_the_grace_window() -> None:
    world = World()
    world.do(world.open())
    world.set_time(world.escrow_account().claim_until_unix_s + 1)
    world.refuse(Code.WRONG_TIME, world.dispute())


def test_the_last_second_of_the_grace_window_belongs_to_the_provider() -> None:
    world = World()
    world.do(world.open())
    world.set_time(world.escrow_account().claim_until_unix_s)
    world.refuse(Code.WRONG_TIME, world.refund())


def test_a_client_cannot_settle_a_dispute_by_a_cosigned_release() -> None:
    world = World()
    world.do(world.open())
    world.do(world.dispute())
    world.refuse(Code.WRONG_STATE, world.release(1, final=True, close_to=world.client))


def test_a_pause_stops_new_commitments() -> None:
    world = World()
    world.do(world.set_paused())
    for step in (world.stake(1), world.deposit(1), world.open()):
        world.refuse(Code.PAUSED, step)


def test_a_closed_escrow_cannot_be_revived_in_the_same_transaction() -> None:
    world = World()
    world.do(world.open())
    world.refuse(
        Code.WRONG_OWNER,
        world.relinquish(),
        transfer(
            TransferParams(
                from_pubkey=world.mallory.pubkey(), to_pubkey=world.escrow(), lamports=10**7
            )
        ),
        world.release(USDC),
    )


def test_a_closed_escrow_cannot_be_closed_again() -> None:
    world = World()
    world.do(world.open())
    world.refuse(Code.WRONG_OWNER, world.relinquish(), world.relinquish())


def test_a_donation_to_a_vault_can_be_withdrawn_by_nobody() -> None:
    world = World()
    world.donate(world.client_account().vault, USDC)
    world.refuse(Code.INSUFFICIENT_BALANCE, world.withdraw(DEPOSIT + 1))
