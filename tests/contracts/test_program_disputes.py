"""Bonds, and what can be slashed for: who loses what in a quarrel, and what nobody can do with one."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from solders.instruction import Instruction

from contracts.program_parties import (
    BOND,
    DEPOSIT,
    EVIDENCE,
    JOB,
    STAKE,
    TERMS,
    USDC,
    job_id,
    with_account,
    with_data,
)
from contracts.program_world import World
from neurogrid_contracts.accounts import DisputeOpener
from neurogrid_contracts.errors import ProgramErrorCode as Code
from neurogrid_contracts.slashing import Fault, slashes_in
from neurogrid_marketplace.faults import Outcome

FAULT = 9  # in the data of a slash
SECOND = job_id("second")
UNPROVEN: dict[str, int] = json.loads(
    (Path(__file__).parents[2] / "contracts-client" / "program" / "idl.json").read_text()
)["faults"]["unproven"]


@pytest.fixture
def world() -> World:
    """An open escrow of 100 USDC."""
    world = World()
    world.do(world.open())
    return world


def patched(instruction: Instruction, offset: int, value: bytes) -> Instruction:
    data = bytearray(instruction.data)
    data[offset : offset + len(value)] = value
    return with_data(instruction, bytes(data))


def lapse(world: World) -> None:
    """Pass the last second of the arbiter's time."""
    world.set_time(world.escrow_account().refund_after_unix_s + 1)


# --- the bond ---


def test_a_client_that_was_right_gets_its_bond_back(world: World) -> None:
    world.do(world.dispute())
    escrow = world.escrow_account()
    assert (escrow.dispute_opener, escrow.client_complains) == (DisputeOpener.CLIENT, True)
    assert world.client_account().locked_micro_usdc == 100 * USDC + BOND
    world.do(world.resolve(0))
    assert world.client_account().available_micro_usdc == DEPOSIT


def test_a_client_that_was_wrong_loses_its_bond_to_the_provider(world: World) -> None:
    world.do(world.dispute())
    world.do(world.resolve(100 * USDC, opener_was_right=False))
    assert world.client_account().balance_micro_usdc == DEPOSIT - 100 * USDC - BOND
    assert world.amount(world.payout) == 97_500_000 + BOND, "no fee is taken from a bond"


def test_a_provider_that_was_right_gets_its_bond_back(world: World) -> None:
    world.do(world.dispute(by=world.provider))
    provider = world.provider_account()
    assert (provider.staked_micro_usdc, provider.bonded_micro_usdc) == (STAKE, BOND)
    world.do(world.resolve(100 * USDC))
    provider = world.provider_account()
    assert (provider.staked_micro_usdc, provider.bonded_micro_usdc) == (STAKE, 0)


def test_a_provider_that_was_wrong_loses_its_bond_to_the_client(world: World) -> None:
    world.do(world.dispute(by=world.provider))
    world.do(world.resolve(0, opener_was_right=False))
    assert world.provider_account().staked_micro_usdc == STAKE - BOND
    assert world.provider_account().slashed_micro_usdc == 0, "losing a bond is no slash"
    assert world.client_account().available_micro_usdc == DEPOSIT + BOND


@pytest.mark.parametrize("opener", ["client", "provider"])
def test_a_silent_arbiter_costs_nobody_a_bond(world: World, opener: str) -> None:
    world.do(world.dispute(by=getattr(world, opener)))
    lapse(world)
    world.do(world.refund())
    assert world.client_account().available_micro_usdc == DEPOSIT
    assert world.provider_account().free_stake_micro_usdc == STAKE


@pytest.mark.parametrize("opener", ["client", "provider"])
def test_settling_among_themselves_costs_nobody_a_bond(world: World, opener: str) -> None:
    world.do(world.dispute(by=getattr(world, opener)))
    world.do(world.relinquish(client_cosigns=True))
    assert world.client_account().available_micro_usdc == DEPOSIT
    assert world.provider_account().free_stake_micro_usdc == STAKE


def test_a_closing_voucher_returns_the_bond_too(world: World) -> None:
    world.do(world.dispute())
    world.do(
        world.proof(5 * USDC), world.claim(5 * USDC, close_to=world.client, client_cosigns=True)
    )
    assert world.client_account().available_micro_usdc == DEPOSIT - 5 * USDC


def test_a_market_without_bonds_disputes_for_nothing() -> None:
    world = World(terms=replace(TERMS, dispute_bond_micro_usdc=0))
    world.do(world.open(DEPOSIT))
    world.do(world.dispute())
    world.do(world.resolve(1, opener_was_right=False))
    assert world.client_account().balance_micro_usdc == DEPOSIT - 1


def test_a_client_without_free_balance_cannot_dispute(world: World) -> None:
    world.do(world.withdraw(DEPOSIT - 100 * USDC - BOND + 1))
    world.refuse(Code.INSUFFICIENT_BALANCE, world.dispute())
    world.do(world.deposit(1), world.dispute())


def test_a_provider_without_free_stake_cannot_dispute(world: World) -> None:
    world.do(world.request_unstake(STAKE - BOND + 1))
    world.refuse(Code.INSUFFICIENT_STAKE, world.dispute(by=world.provider))
    world.do(world.rebond(1))
    world.do(world.dispute(by=world.provider))


def test_one_stake_does_not_bond_two_disputes() -> None:
    world = World(terms=replace(TERMS, dispute_bond_micro_usdc=STAKE))
    world.do(world.open(), world.open(job=SECOND))
    world.do(world.dispute(by=world.provider))
    world.refuse(Code.INSUFFICIENT_STAKE, world.dispute(job=SECOND, by=world.provider))


def test_a_bond_that_wraps_around_is_refused() -> None:
    world = World(terms=replace(TERMS, dispute_bond_micro_usdc=2**64 - 1))
    world.do(world.open(1))
    world.refuse(Code.INSUFFICIENT_BALANCE, world.dispute())
    world.refuse(Code.INSUFFICIENT_STAKE, world.dispute(by=world.provider))


def test_a_bond_cannot_be_withdrawn_or_promised(world: World) -> None:
    world.do(world.dispute())
    free = DEPOSIT - 100 * USDC - BOND
    world.refuse(Code.INSUFFICIENT_BALANCE, world.withdraw(free + 1))
    world.refuse(Code.INSUFFICIENT_BALANCE, world.open(free + 1, job=SECOND))
    world.do(world.withdraw(free))


def test_a_bond_cannot_be_unstaked(world: World) -> None:
    world.do(world.dispute(by=world.provider))
    world.refuse(Code.INSUFFICIENT_STAKE, world.request_unstake(STAKE - BOND + 1))
    world.do(world.request_unstake(STAKE - BOND))


def test_nobody_ends_his_own_dispute_alone(world: World) -> None:
    """Open a dispute, see that it goes badly, and get the bond out before the arbiter rules."""
    world.do(world.dispute(by=world.provider))
    world.refuse(Code.WRONG_STATE, world.relinquish())
    world.refuse(Code.WRONG_STATE, world.proof(1), world.claim(1, close_to=world.client))
    world.refuse(Code.WRONG_STATE, world.release(1, final=True, close_to=world.client))
    world.refuse(Code.WRONG_STATE, world.cancel())
    world.refuse(Code.WRONG_TIME, world.refund())


def test_an_arbiter_must_say_who_was_right(world: World) -> None:
    world.do(world.dispute())
    world.refuse(Code.INSTRUCTION_DATA, patched(world.resolve(1), 9, b"\x02"))


def test_an_arbiter_cannot_take_a_providers_bond_without_its_vault(world: World) -> None:
    world.do(world.dispute(by=world.provider))
    resolve = world.resolve(0, opener_was_right=False)
    vault = len(resolve.accounts) - 1
    stranger = world.usdc(world.mallory)
    world.refuse(Code.ACCOUNT_COUNT, with_account(resolve, vault, stranger))
    world.refuse(Code.NOT_WRITABLE, with_account(resolve, vault, writable=False))


def test_a_forfeited_bond_goes_to_nobody_but_the_other_party(world: World) -> None:
    world.do(world.dispute())
    resolve = world.resolve(0, opener_was_right=False)
    for account in (world.usdc(world.mallory), world.usdc(world.provider)):
        world.refuse(Code.BAD_TOKEN_ACCOUNT, with_account(resolve, 6, account))


def test_a_bond_that_was_slashed_away_is_paid_as_far_as_there_is_stake() -> None:
    """Bonded stake backs the provider's other escrows too: a dispute is no shelter."""
    world = World(terms=replace(TERMS, slash_bps=10_000))
    world.do(world.open(), world.open(job=SECOND))
    world.do(world.dispute(by=world.provider))
    world.do(world.dispute(job=SECOND))
    world.do(world.slash(STAKE - 4 * USDC, job=SECOND))
    provider = world.provider_account()
    assert (provider.staked_micro_usdc, provider.bonded_micro_usdc) == (4 * USDC, BOND)
    assert provider.free_stake_micro_usdc == 0
    world.refuse(Code.INSUFFICIENT_STAKE, world.request_unstake(1))
    world.do(world.resolve(0, opener_was_right=False))
    provider = world.provider_account()
    assert (provider.staked_micro_usdc, provider.bonded_micro_usdc) == (0, 0)
    assert world.client_account().balance_micro_usdc == DEPOSIT + STAKE


def test_the_bond_of_one_escrow_is_not_returned_by_another(world: World) -> None:
    world.do(world.open(job=SECOND))
    world.do(world.dispute())
    world.do(world.relinquish(job=SECOND))
    assert world.client_account().locked_micro_usdc == 100 * USDC + BOND


# --- both sides ---


def test_a_client_joins_a_dispute_that_the_provider_opened(world: World) -> None:
    """Opening a dispute first must not keep the client from complaining, nor cost it a bond."""
    world.do(world.dispute(by=world.provider))
    world.refuse(Code.WRONG_STATE, world.slash(1))
    world.do(world.dispute())
    escrow = world.escrow_account()
    assert (escrow.dispute_opener, escrow.client_complains) == (DisputeOpener.PROVIDER, True)
    assert world.client_account().locked_micro_usdc == 100 * USDC
    world.do(world.slash(STAKE // 2))
    world.do(world.resolve(0, opener_was_right=False))
    assert world.client_account().balance_micro_usdc == DEPOSIT + STAKE // 2 + BOND


def test_a_client_joins_even_when_the_provider_disputed_in_the_last_second(world: World) -> None:
    claim_until = world.escrow_account().claim_until_unix_s
    world.set_time(claim_until)
    world.do(world.dispute(by=world.provider))
    world.set_time(claim_until + TERMS.arbitration_window_s)
    world.do(world.dispute())


def test_a_client_does_not_join_a_dispute_that_has_lapsed(world: World) -> None:
    world.do(world.dispute(by=world.provider))
    lapse(world)
    world.refuse(Code.WRONG_TIME, world.dispute())


def test_a_provider_does_not_join_its_clients_dispute(world: World) -> None:
    world.do(world.dispute())
    world.refuse(Code.WRONG_STATE, world.dispute(by=world.provider))


def test_nobody_joins_twice_or_joins_himself(world: World) -> None:
    world.do(world.dispute(by=world.provider))
    world.refuse(Code.WRONG_STATE, world.dispute(by=world.provider))
    world.do(world.dispute())
    world.refuse(Code.WRONG_STATE, world.dispute())


def test_a_stranger_joins_nothing(world: World) -> None:
    world.do(world.dispute(by=world.provider))
    world.refuse(Code.NOT_AUTHORIZED, world.dispute(by=world.mallory))
    world.refuse(Code.NOT_AUTHORIZED, world.dispute(by=world.operator))


# --- slashing ---


@pytest.mark.parametrize("fault", Fault)
def test_a_slash_leaves_a_record_that_anybody_can_audit(world: World, fault: Fault) -> None:
    world.do(world.dispute())
    executed = world.do(world.slash(3 * USDC, fault=fault))
    (record,) = slashes_in(executed.logs)
    assert record.escrow == world.escrow()
    assert record.provider == world.deployment.provider(world.provider.pubkey())
    assert (record.amount_micro_usdc, record.fault) == (3 * USDC, fault)
    assert record.evidence == EVIDENCE


def test_other_programs_data_in_a_log_is_no_slash() -> None:
    assert slashes_in(["Program data: AAAA", "Program log: NGSLASH1", "Program data: ?"]) == []


@pytest.mark.parametrize(
    "outcome", [outcome for outcome in Outcome if outcome is not Outcome.COMPLETED]
)
def test_how_a_job_ended_slashes_nobody(world: World, outcome: Outcome) -> None:
    """A lost node, a full disk, a stalled download: the program knows each, and refuses it."""
    world.do(world.dispute())
    number = UNPROVEN[outcome.name]
    world.refuse(Code.FAULT_NOT_PROVEN, patched(world.slash(1), FAULT, bytes([number])))


@pytest.mark.parametrize("number", [0, 4, 31, 53, 255])
def test_a_fault_that_does_not_exist_slashes_nobody(world: World, number: int) -> None:
    world.do(world.dispute())
    world.refuse(Code.INSTRUCTION_DATA, patched(world.slash(1), FAULT, bytes([number])))


def test_a_fault_without_evidence_slashes_nobody(world: World) -> None:
    world.do(world.dispute())
    world.refuse(Code.FAULT_NOT_PROVEN, world.slash(1, evidence=bytes(32)))


def test_a_providers_own_dispute_slashes_nobody(world: World) -> None:
    world.do(world.dispute(by=world.provider))
    world.refuse(Code.WRONG_STATE, world.slash(1))


def test_one_dispute_slashes_once_whatever_the_fault(world: World) -> None:
    world.do(world.dispute())
    world.do(world.slash(1))
    for fault in Fault:
        world.refuse(Code.WRONG_STATE, world.slash(1, fault=fault))


def test_two_slashes_do_not_fit_one_transaction(world: World) -> None:
    world.do(world.dispute())
    world.refuse(Code.WRONG_STATE, world.slash(1), world.slash(2))


def test_a_slash_comes_too_late_after_the_arbitration_window(world: World) -> None:
    world.do(world.dispute())
    lapse(world)
    world.refuse(Code.WRONG_TIME, world.slash(1))


def test_a_ruling_comes_too_late_after_the_arbitration_window(world: World) -> None:
    """Or an arbiter would overtake the refund of a dispute that has lapsed."""
    world.do(world.dispute())
    lapse(world)
    world.refuse(Code.WRONG_TIME, world.resolve(100 * USDC, opener_was_right=False))


def test_the_arbiters_last_second_is_in_time(world: World) -> None:
    world.do(world.dispute())
    world.set_time(world.escrow_account().refund_after_unix_s)
    world.refuse(Code.WRONG_TIME, world.refund())
    world.do(world.slash(1))
    world.do(world.resolve(1))


def test_the_cap_counts_what_is_left_and_not_what_was(world: World) -> None:
    """Escrow after escrow takes its share of the rest, never of what is gone."""
    world.do(world.open(job=SECOND))
    world.do(world.dispute(), world.dispute(job=SECOND))
    world.do(world.slash(STAKE // 2))
    world.refuse(Code.OVER_LIMIT, world.slash(STAKE // 4 + 1, job=SECOND))
    world.do(world.slash(STAKE // 4, job=SECOND))


def test_a_slash_goes_to_the_harmed_client_and_to_no_other(world: World) -> None:
    world.do(world.dispute())
    other = world.deployment.client(world.another_client().pubkey())
    slash = with_account(world.slash(1), 5, other)
    world.refuse(Code.WRONG_LINK, with_account(slash, 6, world.deployment.vault(other)))
    for vault in (world.deployment.vault(other), world.treasury):
        world.refuse(Code.WRONG_LINK, with_account(world.slash(1), 6, vault))


def test_a_slash_takes_from_the_disputed_provider_and_no_other(world: World) -> None:
    world.do(world.dispute())
    other = world.deployment.provider(world.another_provider().pubkey())
    slash = with_account(world.slash(1), 2, other)
    world.refuse(Code.WRONG_LINK, with_account(slash, 3, world.deployment.vault(other)))


def test_a_reopened_job_id_does_not_inherit_its_dispute(world: World) -> None:
    world.do(world.dispute())
    world.do(world.slash(1))
    world.do(world.resolve(0))
    world.do(world.open())
    escrow = world.escrow_account(JOB)
    assert (escrow.dispute_opener, escrow.client_complains) == (DisputeOpener.NOBODY, False)
    world.refuse(Code.WRONG_STATE, world.slash(1))
