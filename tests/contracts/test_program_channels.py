"""Escrows that are offered, topped up and extended, and what an operator may promise through them."""

import pytest
from solders.keypair import Keypair

from contracts.program_parties import (
    BOND,
    DAY_S,
    DEPOSIT,
    NOW,
    OPERATOR_LIMIT,
    STAKE,
    TERMS,
    USDC,
    job_id,
    with_account,
    with_data,
)
from contracts.program_world import World
from neurogrid_contracts import instructions
from neurogrid_contracts.accounts import EscrowState
from neurogrid_contracts.errors import ProgramErrorCode as Code

U64_MAX = 2**64 - 1
LONGEST_S = TERMS.unbonding_window_s - TERMS.grace_window_s - TERMS.arbitration_window_s


@pytest.fixture
def world() -> World:
    """An open escrow of 100 USDC."""
    world = World()
    world.do(world.open())
    return world


@pytest.fixture
def offer() -> World:
    """An offered escrow of 100 USDC."""
    world = World()
    world.do(world.open(offered=True))
    return world


@pytest.fixture
def operated() -> World:
    """An open escrow of 100 USDC, charged to the operator."""
    world = World()
    world.do(world.open(by=world.operator))
    return world


def limit(world: World) -> int:
    return world.client_account().operator_limit_micro_usdc


# --- offers ---


def test_an_offer_locks_its_money_and_waits(offer: World) -> None:
    assert offer.escrow_account().state is EscrowState.OFFERED
    assert offer.client_account().locked_micro_usdc == 100 * USDC
    assert offer.provider_account().open_escrows == 1


def test_an_accepted_offer_is_an_open_escrow(offer: World) -> None:
    offer.do(offer.accept())
    assert offer.escrow_account().state is EscrowState.OPEN
    offer.do(offer.proof(USDC), offer.claim(USDC, close_to=offer.client))


def test_a_provider_accepts_and_claims_in_one_transaction(offer: World) -> None:
    offer.do(offer.proof(USDC), offer.accept(), offer.claim(USDC))
    assert offer.escrow_account().released_micro_usdc == USDC


def test_a_client_cancels_an_offer_at_once(offer: World) -> None:
    offer.do(offer.cancel())
    assert offer.is_closed()
    assert offer.client_account().available_micro_usdc == DEPOSIT


def test_a_provider_declines_an_offer(offer: World) -> None:
    offer.do(offer.relinquish())
    assert offer.is_closed()


def test_an_offer_that_nobody_answers_is_refunded(offer: World) -> None:
    offer.set_time(offer.escrow_account().claim_until_unix_s + 1)
    offer.do(offer.refund())


def test_an_offer_pays_nobody(offer: World) -> None:
    proof = offer.proof(USDC)
    offer.refuse(Code.WRONG_STATE, proof, offer.claim(USDC))
    offer.refuse(Code.WRONG_STATE, proof, offer.claim(USDC, close_to=offer.client))
    offer.refuse(Code.WRONG_STATE, offer.release(USDC))
    offer.refuse(Code.WRONG_STATE, offer.release(0, final=True))


def test_an_offer_is_not_disputed(offer: World) -> None:
    """Nothing was done yet that one could quarrel about."""
    offer.refuse(Code.WRONG_STATE, offer.dispute())
    offer.refuse(Code.WRONG_STATE, offer.dispute(by=offer.provider))


def test_a_client_cannot_cancel_after_the_provider_has_accepted(offer: World) -> None:
    offer.do(offer.accept())
    offer.refuse(Code.WRONG_STATE, offer.cancel())


def test_a_client_cannot_cancel_behind_an_acceptance_in_the_same_block(offer: World) -> None:
    offer.refuse(Code.WRONG_STATE, offer.accept(), offer.cancel())


def test_an_escrow_that_was_never_offered_is_not_cancelled(world: World) -> None:
    world.refuse(Code.WRONG_STATE, world.cancel())


def test_only_the_provider_accepts(offer: World) -> None:
    for other in (offer.client, offer.mallory, offer.payout_owner):
        offer.refuse(Code.NOT_AUTHORIZED, with_account(offer.accept(), 0, other.pubkey()))
    offer.refuse(Code.MISSING_SIGNER, with_account(offer.accept(), 0, signer=False))


def test_another_provider_cannot_take_an_offer_over(offer: World) -> None:
    other = offer.another_provider()
    taking = with_account(offer.accept(), 2, offer.deployment.provider(other.pubkey()))
    offer.refuse(Code.WRONG_LINK, with_account(taking, 0, other.pubkey()))


def test_an_offer_is_accepted_once(offer: World) -> None:
    offer.do(offer.accept())
    offer.refuse(Code.WRONG_STATE, offer.accept())


def test_a_disputed_escrow_cannot_be_accepted_back_to_life(world: World) -> None:
    world.do(world.dispute())
    world.refuse(Code.WRONG_STATE, world.accept())


def test_an_offer_past_its_deadline_is_not_accepted(offer: World) -> None:
    """Or a provider would accept in the last second, to dispute what it never did."""
    offer.set_time(offer.escrow_account().deadline_unix_s)
    offer.refuse(Code.WRONG_TIME, offer.accept())


def test_only_the_clients_side_cancels(offer: World) -> None:
    offer.refuse(Code.NOT_AUTHORIZED, offer.cancel(by=offer.mallory))
    offer.refuse(Code.NOT_AUTHORIZED, offer.cancel(by=offer.provider))
    offer.refuse(Code.NOT_AUTHORIZED, offer.cancel(by=offer.operator))
    offer.refuse(Code.MISSING_SIGNER, with_account(offer.cancel(), 0, signer=False))


def test_a_cancelled_offers_rent_goes_to_who_paid_it(offer: World) -> None:
    offer.refuse(Code.NOT_WRITABLE, offer.cancel(rent_payer=offer.mallory))


def test_a_cancelled_offers_voucher_is_worthless_in_the_next(offer: World) -> None:
    proof = offer.proof(USDC)
    offer.do(offer.cancel())
    offer.do(offer.open())
    offer.refuse(Code.BAD_VOUCHER, proof, offer.claim(USDC))


def test_needs_acceptance_is_yes_or_no() -> None:
    world = World()
    data = bytearray(world.open().data)
    data[-1] = 2
    world.refuse(Code.INSTRUCTION_DATA, with_data(world.open(), bytes(data)))


# --- topping up ---


def test_an_escrow_serves_as_a_channel_for_long(world: World) -> None:
    """One escrow, one sequence, vouchers that count on: topped up and extended day by day."""
    sequence = world.escrow_account().sequence
    for day in range(1, 6):
        world.do(world.proof(day * 80 * USDC), world.claim(day * 80 * USDC))
        world.do(world.top_up(80 * USDC), world.extend(world.now + DAY_S))
        world.set_time(world.now + DAY_S // 2)
    escrow = world.escrow_account()
    assert escrow.sequence == sequence
    assert escrow.max_micro_usdc == 500 * USDC
    assert escrow.released_micro_usdc == 400 * USDC
    world.do(world.proof(500 * USDC), world.claim(500 * USDC, close_to=world.client))
    assert world.client_account().balance_micro_usdc == DEPOSIT - 500 * USDC


def test_a_top_up_locks_what_it_promises(world: World) -> None:
    world.do(world.top_up(50 * USDC))
    assert world.escrow_account().max_micro_usdc == 150 * USDC
    assert world.client_account().locked_micro_usdc == 150 * USDC


def test_an_offer_can_be_topped_up_and_extended(offer: World) -> None:
    offer.do(offer.top_up(USDC), offer.extend(NOW + DAY_S))
    assert offer.escrow_account().state is EscrowState.OFFERED


@pytest.mark.parametrize(
    ("amount", "expected"),
    [
        pytest.param(0, Code.WRONG_AMOUNT, id="nothing"),
        pytest.param(DEPOSIT - 100 * USDC + 1, Code.INSUFFICIENT_BALANCE, id="what is locked"),
        pytest.param(U64_MAX, Code.INSUFFICIENT_BALANCE, id="all the money there can be"),
        pytest.param(U64_MAX - 100 * USDC + 1, Code.INSUFFICIENT_BALANCE, id="a wrap-around"),
    ],
)
def test_an_escrow_is_not_topped_up_by(world: World, amount: int, expected: Code) -> None:
    world.refuse(expected, world.top_up(amount))


def test_only_the_clients_side_tops_up_and_extends(world: World) -> None:
    for by in (world.mallory, world.provider, world.operator):
        world.refuse(Code.NOT_AUTHORIZED, world.top_up(1, by=by))
        world.refuse(Code.NOT_AUTHORIZED, world.extend(NOW + DAY_S, by=by))


def test_a_disputed_escrow_neither_grows_nor_lasts_longer(world: World) -> None:
    world.do(world.dispute())
    world.refuse(Code.WRONG_STATE, world.top_up(1))
    world.refuse(Code.WRONG_STATE, world.extend(NOW + DAY_S))


def test_an_escrow_that_is_over_neither_grows_nor_comes_back(world: World) -> None:
    world.set_time(world.escrow_account().claim_until_unix_s + 1)
    world.refuse(Code.WRONG_TIME, world.top_up(1))
    world.refuse(Code.WRONG_TIME, world.extend(world.now + DAY_S))


def test_a_top_up_comes_from_the_escrows_own_client(world: World) -> None:
    other = world.another_client()
    foreign = world.deployment.client(other.pubkey())
    step = with_account(with_account(world.top_up(1), 2, foreign), 0, other.pubkey())
    world.refuse(Code.WRONG_LINK, step)


# --- extending ---


def test_an_extension_moves_deadline_and_claims_together(world: World) -> None:
    world.do(world.extend(NOW + LONGEST_S))
    escrow = world.escrow_account()
    assert escrow.deadline_unix_s == NOW + LONGEST_S
    assert escrow.claim_until_unix_s == NOW + LONGEST_S + TERMS.grace_window_s


@pytest.mark.parametrize("seconds", [3_600, 3_599, 0, -1, -(2**62)])
def test_a_deadline_never_comes_closer(world: World, seconds: int) -> None:
    world.refuse(Code.WRONG_TIME, world.extend(NOW + seconds))


@pytest.mark.parametrize("deadline", [NOW + LONGEST_S + 1, 2**63 - 1])
def test_an_extension_cannot_outlast_the_stake_behind_it(world: World, deadline: int) -> None:
    world.refuse(Code.WRONG_TIME, world.extend(deadline))


def test_an_escrow_is_not_opened_small_to_dodge_the_stake_rule(world: World) -> None:
    """Opened while there was stake, extended when it is leaving."""
    world.do(world.request_unstake(STAKE - TERMS.min_stake_micro_usdc + 1))
    world.refuse(Code.INSUFFICIENT_STAKE, world.extend(NOW + DAY_S))
    world.do(world.rebond(1))
    world.do(world.extend(NOW + DAY_S))


def test_stake_behind_an_extended_escrow_stays_until_its_dispute_ends(world: World) -> None:
    world.do(world.extend(NOW + LONGEST_S))
    world.do(world.request_unstake(STAKE))
    world.set_time(world.escrow_account().claim_until_unix_s)
    world.do(world.dispute())
    world.refuse(Code.WRONG_TIME, world.withdraw_stake())
    world.do(world.slash(STAKE // 2))


def test_a_final_release_can_be_taken_back_by_extending(world: World) -> None:
    world.do(world.release(0, final=True))
    world.do(world.extend(NOW + DAY_S))
    assert world.escrow_account().claim_until_unix_s == NOW + DAY_S + TERMS.grace_window_s


def test_a_provider_can_leave_an_escrow_that_is_extended_again_and_again(world: World) -> None:
    world.do(world.extend(NOW + DAY_S))
    world.do(world.relinquish())
    assert world.provider_account().open_escrows == 0


# --- what an operator may promise ---


def test_what_an_operators_escrow_did_not_pay_comes_back_to_its_limit(operated: World) -> None:
    operated.do(operated.release(30 * USDC, by=operated.operator))
    operated.do(operated.relinquish(rent_payer=operated.operator))
    assert limit(operated) == OPERATOR_LIMIT - 30 * USDC


def test_an_operators_top_up_is_charged_to_its_limit(operated: World) -> None:
    operated.do(operated.top_up(900 * USDC, by=operated.operator))
    assert limit(operated) == 0
    operated.refuse(Code.OVER_LIMIT, operated.top_up(1, by=operated.operator))
    operated.do(operated.relinquish(rent_payer=operated.operator))
    assert limit(operated) == OPERATOR_LIMIT


def test_an_operator_cannot_top_up_beyond_its_limit(operated: World) -> None:
    operated.refuse(Code.OVER_LIMIT, operated.top_up(900 * USDC + 1, by=operated.operator))


def test_an_owners_top_up_never_raises_the_operators_limit(operated: World) -> None:
    operated.do(operated.top_up(500 * USDC))
    assert limit(operated) == OPERATOR_LIMIT - 100 * USDC
    operated.do(operated.relinquish(rent_payer=operated.operator))
    assert limit(operated) == OPERATOR_LIMIT


def test_an_owners_escrow_gives_nothing_to_the_operators_limit(world: World) -> None:
    world.do(world.relinquish())
    assert limit(world) == OPERATOR_LIMIT


def test_an_expired_operator_neither_tops_up_nor_extends_nor_cancels(operated: World) -> None:
    operated.do(operated.open(job=job_id("offer"), by=operated.operator, offered=True))
    operated.do(operated.set_operator(expiry=NOW + 10))
    operated.set_time(NOW + 10)
    by = operated.operator
    operated.refuse(Code.WRONG_TIME, operated.top_up(1, by=by))
    operated.refuse(Code.WRONG_TIME, operated.extend(NOW + DAY_S, by=by))
    cancel = operated.cancel(job=job_id("offer"), by=by, rent_payer=by)
    operated.refuse(Code.WRONG_TIME, cancel)


def test_a_new_grant_gets_nothing_back_from_an_old_one(operated: World) -> None:
    """Or an operator would wait for its next grant, and then close the escrows of all before."""
    operated.do(operated.set_operator(limit=5 * USDC))
    operated.do(operated.relinquish(rent_payer=operated.operator))
    assert limit(operated) == 5 * USDC


def test_a_removed_operator_gets_nothing_back(operated: World) -> None:
    operated.do(
        instructions.set_operator(
            operated.deployment,
            owner=operated.client.pubkey(),
            operator=None,
            limit_micro_usdc=0,
            expiry_unix_s=0,
        )
    )
    operated.do(operated.relinquish(rent_payer=operated.operator))
    assert limit(operated) == 0
    operated.refuse(Code.NOT_AUTHORIZED, operated.open(1, by=operated.operator))


def test_a_new_grant_gets_back_what_it_topped_up_and_no_more(operated: World) -> None:
    operated.do(operated.set_operator(limit=50 * USDC))
    operated.do(operated.top_up(20 * USDC, by=operated.operator))
    assert limit(operated) == 30 * USDC
    operated.do(operated.relinquish(rent_payer=operated.operator))
    assert limit(operated) == 50 * USDC


def test_what_a_grant_spends_is_never_more_than_its_limit(operated: World) -> None:
    """Opened under one grant, topped up under the next, paid out, closed."""
    operated.do(operated.set_operator(limit=50 * USDC))
    operated.do(operated.top_up(20 * USDC, by=operated.operator))
    operated.do(operated.release(115 * USDC, by=operated.operator))
    operated.do(operated.relinquish(rent_payer=operated.operator))
    assert limit(operated) == 30 * USDC + 5 * USDC


def test_opening_and_closing_in_circles_does_not_raise_a_limit(operated: World) -> None:
    for _ in range(3):
        operated.do(operated.relinquish(rent_payer=operated.operator))
        operated.do(operated.open(by=operated.operator))
    assert limit(operated) == OPERATOR_LIMIT - 100 * USDC


def test_an_operators_bond_stays_charged(operated: World) -> None:
    operated.do(operated.dispute(by=operated.operator))
    assert limit(operated) == OPERATOR_LIMIT - 100 * USDC - BOND
    operated.do(operated.resolve(0, rent_payer=operated.operator))
    assert limit(operated) == OPERATOR_LIMIT - BOND
    assert operated.client_account().available_micro_usdc == DEPOSIT


def test_an_operator_cannot_bond_beyond_its_limit(operated: World) -> None:
    """It could burn the owner's balance in disputes that it loses."""
    operated.do(operated.set_operator(limit=BOND - 1))
    operated.refuse(Code.OVER_LIMIT, operated.dispute(by=operated.operator))
    operated.do(operated.dispute())


def test_an_operator_cancels_its_own_offer_only() -> None:
    world = World()
    own, owners = job_id("own"), job_id("owner's")
    world.do(world.open(job=own, by=world.operator, offered=True))
    world.do(world.open(job=owners, offered=True))
    by: Keypair = world.operator
    world.refuse(Code.NOT_AUTHORIZED, world.cancel(job=owners, by=by, rent_payer=world.client))
    world.do(world.cancel(job=own, by=by, rent_payer=by))
    assert limit(world) == OPERATOR_LIMIT
