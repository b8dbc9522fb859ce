"""A market's terms change after notice, its administration by consent; and what nobody can do."""

from dataclasses import replace

import pytest
from solders.keypair import Keypair

from contracts.program_parties import (
    BOND,
    DAY_S,
    DEPOSIT,
    NOW,
    STAKE,
    TERMS,
    USDC,
    job_id,
    with_account,
    with_data,
)
from contracts.program_world import World
from neurogrid_contracts.errors import ProgramErrorCode as Code
from neurogrid_contracts.instructions import MarketTerms

NOTICE_S = TERMS.unbonding_window_s
OTHER = MarketTerms(
    fee_bps=2_000,
    slash_bps=10_000,
    min_stake_micro_usdc=2 * STAKE,
    unbonding_window_s=30 * DAY_S,
    grace_window_s=60,
    arbitration_window_s=120,
    dispute_bond_micro_usdc=1_000 * USDC,
)


@pytest.fixture
def world() -> World:
    return World()


def change_terms(world: World, terms: MarketTerms = OTHER, arbiter: Keypair | None = None) -> None:
    """Announce, wait, apply."""
    judge = world.arbiter if arbiter is None else arbiter
    world.do(world.propose_terms(terms, arbiter=judge.pubkey(), treasury=world.usdc(world.mallory)))
    world.set_time(world.config_account().terms_from_unix_s)
    world.do(world.apply_terms())


# --- notice ---


def test_announced_terms_are_in_the_account_and_change_nothing(world: World) -> None:
    before = world.config_account()
    world.do(world.propose_terms(OTHER, arbiter=world.mallory.pubkey()))
    config = world.config_account()
    assert config.terms_from_unix_s == NOW + NOTICE_S
    assert config.pending_fee_bps == OTHER.fee_bps
    assert config.pending_slash_bps == OTHER.slash_bps
    assert config.pending_min_stake_micro_usdc == OTHER.min_stake_micro_usdc
    assert config.pending_unbonding_window_s == OTHER.unbonding_window_s
    assert config.pending_grace_window_s == OTHER.grace_window_s
    assert config.pending_arbitration_window_s == OTHER.arbitration_window_s
    assert config.pending_dispute_bond_micro_usdc == OTHER.dispute_bond_micro_usdc
    assert config.pending_arbiter == world.mallory.pubkey()
    assert config.pending_treasury == world.treasury
    assert (config.fee_bps, config.arbiter) == (before.fee_bps, before.arbiter)


def test_anybody_applies_terms_whose_notice_has_passed(world: World) -> None:
    world.do(world.propose_terms(OTHER, arbiter=world.mallory.pubkey()))
    world.set_time(NOW + NOTICE_S)
    world.do(world.apply_terms(), payer=world.mallory)
    config = world.config_account()
    assert config.fee_bps == OTHER.fee_bps
    assert config.slash_bps == OTHER.slash_bps
    assert config.min_stake_micro_usdc == OTHER.min_stake_micro_usdc
    assert config.unbonding_window_s == OTHER.unbonding_window_s
    assert config.dispute_bond_micro_usdc == OTHER.dispute_bond_micro_usdc
    assert config.arbiter == world.mallory.pubkey()
    assert (config.terms_from_unix_s, config.pending_fee_bps) == (0, 0)


def test_terms_do_not_apply_a_second_before_their_time(world: World) -> None:
    world.do(world.propose_terms(OTHER))
    world.set_time(NOW + NOTICE_S - 1)
    world.refuse(Code.WRONG_TIME, world.apply_terms())


def test_terms_are_not_proposed_and_applied_in_one_transaction(world: World) -> None:
    world.refuse(Code.WRONG_TIME, world.propose_terms(OTHER), world.apply_terms())


def test_terms_apply_once(world: World) -> None:
    change_terms(world)
    world.refuse(Code.WRONG_STATE, world.apply_terms())


def test_terms_that_nobody_proposed_do_not_apply(world: World) -> None:
    world.refuse(Code.WRONG_STATE, world.apply_terms())
    world.refuse(Code.WRONG_STATE, world.cancel_terms())


def test_cancelled_terms_do_not_apply(world: World) -> None:
    world.do(world.propose_terms(OTHER))
    world.do(world.cancel_terms())
    world.set_time(NOW + NOTICE_S)
    world.refuse(Code.WRONG_STATE, world.apply_terms())
    assert world.config_account().pending_treasury != world.treasury


def test_a_second_announcement_restarts_the_notice(world: World) -> None:
    """Or harmless terms would be exchanged for others a second before they apply."""
    world.do(world.propose_terms(TERMS))
    world.set_time(NOW + NOTICE_S - 1)
    world.do(world.propose_terms(OTHER))
    world.set_time(NOW + NOTICE_S)
    world.refuse(Code.WRONG_TIME, world.apply_terms())


def test_the_unbonding_window_never_shrinks(world: World) -> None:
    """Stake would leave before a dispute about an open escrow ends."""
    shorter = replace(TERMS, unbonding_window_s=TERMS.unbonding_window_s - 1)
    world.refuse(Code.WRONG_TIME, world.propose_terms(shorter))
    change_terms(world)
    world.refuse(Code.WRONG_TIME, world.propose_terms(TERMS))


def test_a_longer_window_makes_the_next_notice_longer(world: World) -> None:
    change_terms(world)
    world.do(world.propose_terms(OTHER))
    assert world.config_account().terms_from_unix_s == world.now + OTHER.unbonding_window_s


@pytest.mark.parametrize(
    ("offset", "value", "expected"),
    [
        pytest.param(0, (2_001).to_bytes(2, "little"), Code.WRONG_AMOUNT, id="fee above 20 %"),
        pytest.param(2, (10_001).to_bytes(2, "little"), Code.WRONG_AMOUNT, id="slash above all"),
        pytest.param(20, bytes(8), Code.WRONG_TIME, id="no grace"),
        pytest.param(28, bytes(8), Code.WRONG_TIME, id="no arbitration"),
        pytest.param(12, b"\xff" * 7 + b"\x7f", Code.WRONG_TIME, id="endless unbonding"),
        pytest.param(44, bytes(32), Code.INSTRUCTION_DATA, id="an arbiter that nobody can be"),
    ],
)
def test_terms_outside_the_programs_limits_are_not_even_proposed(
    world: World, offset: int, value: bytes, expected: Code
) -> None:
    data = bytearray(world.propose_terms().data)
    data[1 + offset : 1 + offset + len(value)] = value
    world.refuse(expected, with_data(world.propose_terms(), bytes(data)))


def test_only_the_admin_proposes_and_cancels(world: World) -> None:
    for thief in (world.mallory, world.arbiter, world.provider):
        world.refuse(Code.NOT_AUTHORIZED, world.propose_terms(OTHER, by=thief))
    world.do(world.propose_terms(OTHER))
    world.refuse(Code.NOT_AUTHORIZED, world.cancel_terms(by=world.mallory))
    world.refuse(Code.MISSING_SIGNER, with_account(world.cancel_terms(), 0, signer=False))


def test_a_treasury_in_another_currency_is_not_proposed(world: World) -> None:
    foreign = world.create_other_currency()
    world.refuse(Code.WRONG_MINT, world.propose_terms(treasury=foreign))
    world.refuse(Code.BAD_TOKEN_ACCOUNT, world.propose_terms(treasury=world.mallory.pubkey()))


# --- what is open keeps its terms ---


def test_within_the_notice_everybody_can_leave(world: World) -> None:
    """The oldest promise that there can be ends in the same second in which the terms apply."""
    world.do(world.open(deadline=NOW + world.config_account().longest_escrow_s))
    world.do(world.propose_terms(OTHER, arbiter=world.mallory.pubkey()))
    world.do(world.request_unstake(STAKE))
    claim_until = world.escrow_account().claim_until_unix_s
    world.set_time(claim_until)
    world.do(world.dispute())
    world.set_time(claim_until + TERMS.arbitration_window_s)
    assert world.now == NOW + NOTICE_S == world.config_account().terms_from_unix_s
    world.do(world.withdraw_stake())
    world.set_time(world.now + 1)
    world.do(world.refund())
    world.do(world.withdraw(DEPOSIT))
    world.do(world.apply_terms())


def test_a_new_arbiter_cannot_decide_a_dispute_that_has_lapsed(world: World) -> None:
    world.do(world.open())
    world.do(world.dispute())
    change_terms(world, arbiter=world.mallory)
    world.refuse(Code.WRONG_TIME, world.slash(1, by=world.mallory))
    resolve = with_account(world.resolve(1, by=world.mallory), 7, world.usdc(world.mallory))
    world.refuse(Code.WRONG_TIME, resolve)
    world.do(world.refund())


def late_escrow(world: World) -> None:
    """Terms change under an escrow that was opened in the last hour of their notice."""
    world.do(
        world.propose_terms(
            OTHER, arbiter=world.mallory.pubkey(), treasury=world.usdc(world.mallory)
        )
    )
    world.set_time(NOW + NOTICE_S - 3_600)
    world.do(world.open(deadline=NOW + NOTICE_S + 3_600))
    world.set_time(NOW + NOTICE_S)
    world.do(world.apply_terms())


def test_an_open_escrow_keeps_its_fee(world: World) -> None:
    late_escrow(world)
    world.do(world.release(100 * USDC, treasury=world.usdc(world.mallory)))
    assert world.amount(world.payout) == 97_500_000


def test_an_open_escrow_keeps_its_bond_and_its_windows(world: World) -> None:
    late_escrow(world)
    world.do(world.dispute())
    assert world.client_account().locked_micro_usdc == 100 * USDC + BOND
    claim_until = world.escrow_account().claim_until_unix_s
    world.set_time(claim_until + OTHER.arbitration_window_s + 1)
    world.refuse(Code.WRONG_TIME, world.refund())
    world.set_time(claim_until + TERMS.arbitration_window_s + 1)
    world.do(world.refund())


def test_an_open_escrow_keeps_its_slashing_cap(world: World) -> None:
    late_escrow(world)
    world.do(world.dispute())
    world.refuse(Code.OVER_LIMIT, world.slash(STAKE // 2 + 1, by=world.mallory))
    world.do(world.slash(STAKE // 2, by=world.mallory))


def test_a_final_release_starts_the_window_that_the_escrow_opened_under(world: World) -> None:
    late_escrow(world)
    world.do(world.release(0, final=True, treasury=world.usdc(world.mallory)))
    assert world.escrow_account().claim_until_unix_s == world.now + TERMS.grace_window_s


def test_the_old_arbiter_and_treasury_have_no_part_in_it(world: World) -> None:
    late_escrow(world)
    world.refuse(Code.WRONG_LINK, world.release(USDC))
    world.do(world.dispute())
    world.refuse(Code.NOT_AUTHORIZED, world.slash(1))


def test_new_commitments_are_under_the_new_terms(world: World) -> None:
    change_terms(world)
    world.refuse(Code.INSUFFICIENT_STAKE, world.open(deadline=world.now + 60))
    world.do(world.stake(STAKE))
    world.do(world.open(deadline=world.now + 60))
    escrow = world.escrow_account()
    assert escrow.fee_bps == OTHER.fee_bps
    assert escrow.dispute_bond_micro_usdc == OTHER.dispute_bond_micro_usdc
    world.do(world.request_unstake(1))
    until = world.provider_account().unbonding_until_unix_s
    assert until == world.now + OTHER.unbonding_window_s


# --- the administration ---


def test_the_administration_is_handed_over_in_two_steps(world: World) -> None:
    world.do(world.propose_admin(world.mallory))
    assert world.config_account().admin == world.admin.pubkey()
    world.do(world.accept_admin(world.mallory))
    config = world.config_account()
    assert (config.admin, config.pending_admin) == (world.mallory.pubkey(), None)
    assert config.creator == world.admin.pubkey()
    world.do(world.set_paused(by=world.mallory))
    world.refuse(Code.NOT_AUTHORIZED, world.set_paused(False))
    world.refuse(Code.NOT_AUTHORIZED, world.propose_terms(OTHER))
    world.refuse(Code.NOT_AUTHORIZED, world.propose_admin(world.admin))


def test_nobody_accepts_what_was_offered_to_another(world: World) -> None:
    world.do(world.propose_admin(world.provider))
    world.refuse(Code.NOT_AUTHORIZED, world.accept_admin(world.mallory))
    world.refuse(Code.NOT_AUTHORIZED, world.accept_admin(world.admin))
    world.refuse(
        Code.MISSING_SIGNER, with_account(world.accept_admin(world.provider), 0, signer=False)
    )


def test_nobody_accepts_what_was_not_offered(world: World) -> None:
    world.refuse(Code.WRONG_STATE, world.accept_admin(world.mallory))


def test_an_offer_is_accepted_once(world: World) -> None:
    world.do(world.propose_admin(world.mallory))
    world.do(world.accept_admin(world.mallory))
    world.do(world.propose_admin(world.admin, by=world.mallory))
    world.do(world.accept_admin(world.admin))
    world.refuse(Code.WRONG_STATE, world.accept_admin(world.mallory))


def test_an_offer_can_be_taken_back_or_replaced(world: World) -> None:
    world.do(world.propose_admin(world.mallory))
    world.do(world.propose_admin(None))
    world.refuse(Code.WRONG_STATE, world.accept_admin(world.mallory))
    world.do(world.propose_admin(world.mallory))
    world.do(world.propose_admin(world.provider))
    world.refuse(Code.NOT_AUTHORIZED, world.accept_admin(world.mallory))


def test_an_admin_is_not_proposed_by_somebody_else(world: World) -> None:
    world.refuse(Code.NOT_AUTHORIZED, world.propose_admin(world.mallory, by=world.mallory))


def test_a_new_admin_can_cancel_what_the_old_one_announced(world: World) -> None:
    world.do(world.propose_terms(OTHER), world.propose_admin(world.mallory))
    world.do(world.accept_admin(world.mallory))
    world.do(world.cancel_terms(by=world.mallory))
    assert world.config_account().terms_from_unix_s == 0


def test_a_pause_stops_every_new_commitment_and_no_ending(world: World) -> None:
    world.do(world.open())
    offer = job_id("offer")
    world.do(world.open(job=offer, offered=True))
    world.do(world.set_paused())
    for step in (
        world.open(job=job_id("new")),
        world.top_up(1),
        world.extend(NOW + 7_200),
        world.accept(job=offer),
        world.stake(1),
        world.deposit(1),
    ):
        world.refuse(Code.PAUSED, step)
    world.do(world.cancel(job=offer))
    world.do(world.relinquish())
    world.do(world.request_unstake(STAKE))
    world.do(world.rebond(STAKE))
    world.do(world.withdraw(DEPOSIT))
    world.set_time(NOW + 1)
    world.do(world.close_client())
