"""What the program does for honest parties, step by step, on the real VM."""

import pytest
from solders.instruction import AccountMeta, Instruction
from solders.pubkey import Pubkey

from contracts.program_parties import (
    BOND,
    DAY_S,
    DEPOSIT,
    DOMAIN,
    FUNDS,
    JOB,
    NOW,
    OPERATOR_LIMIT,
    STAKE,
    TERMS,
    USDC,
    job_id,
)
from contracts.program_world import World, svm_of_today, svm_of_tomorrow
from neurogrid_contracts import instructions
from neurogrid_contracts.accounts import EscrowState
from neurogrid_contracts.instructions import MarketTerms


@pytest.fixture(params=[svm_of_today, svm_of_tomorrow])
def world(request: pytest.FixtureRequest) -> World:
    return World(svm=request.param())


def test_a_market_keeps_its_terms(world: World) -> None:
    config = world.config_account()
    assert config.admin == world.admin.pubkey()
    assert config.arbiter == world.arbiter.pubkey()
    assert config.usdc_mint == world.deployment.usdc_mint
    assert config.treasury == world.treasury
    assert config.fee_bps == TERMS.fee_bps
    assert config.slash_bps == TERMS.slash_bps
    assert config.min_stake_micro_usdc == TERMS.min_stake_micro_usdc
    assert config.unbonding_window_s == TERMS.unbonding_window_s
    assert config.grace_window_s == TERMS.grace_window_s
    assert config.arbitration_window_s == TERMS.arbitration_window_s
    assert config.domain == DOMAIN
    assert config.dispute_bond_micro_usdc == BOND
    assert config.terms_from_unix_s == 0
    assert config.pending_admin is None
    assert not config.paused


def test_a_devnet_may_count_its_windows_in_seconds() -> None:
    world = World(
        terms=MarketTerms(
            fee_bps=0,
            slash_bps=10_000,
            min_stake_micro_usdc=0,
            unbonding_window_s=4,
            grace_window_s=1,
            arbitration_window_s=1,
        ),
        domain=1,
    )
    world.do(world.open(deadline=NOW + 2))
    world.set_time(NOW + 4)
    world.do(world.refund())
    assert world.client_account().locked_micro_usdc == 0


def test_a_market_may_choose_the_extremes() -> None:
    world = World(
        terms=MarketTerms(
            fee_bps=2_000,
            slash_bps=10_000,
            min_stake_micro_usdc=STAKE,
            unbonding_window_s=365 * DAY_S,
            grace_window_s=1,
            arbitration_window_s=1,
        ),
        domain=2**64 - 1,
    )
    world.do(world.open(deadline=NOW + 365 * DAY_S - 2))
    world.do(world.release(10 * USDC))
    assert world.amount(world.treasury) == 2 * USDC
    world.do(world.dispute())
    world.do(world.slash(STAKE))
    assert world.provider_account().staked_micro_usdc == 0


def test_an_instruction_may_carry_other_accounts(world: World) -> None:
    """Up to twenty-four in all; what it does not need, it does not look at."""
    deposit = world.deposit(1)
    others = [AccountMeta(Pubkey([n] * 32), False, False) for n in range(230, 248)]
    accounts = [*deposit.accounts, *others]
    assert len(accounts) == 24
    world.do(Instruction(deposit.program_id, bytes(deposit.data), accounts))
    assert world.client_account().balance_micro_usdc == DEPOSIT + 1


def test_deposits_and_stakes_show_in_the_accounts(world: World) -> None:
    client, provider = world.client_account(), world.provider_account()
    assert client.owner == world.client.pubkey()
    assert client.balance_micro_usdc == client.available_micro_usdc == DEPOSIT
    assert client.operator == world.operator.pubkey()
    assert client.operator_limit_micro_usdc == OPERATOR_LIMIT
    assert provider.owner == world.provider.pubkey()
    assert provider.payout_owner == world.payout_owner.pubkey()
    assert provider.staked_micro_usdc == STAKE


def test_a_deposit_can_be_withdrawn_to_the_last_cent(world: World) -> None:
    world.do(world.withdraw(DEPOSIT))
    assert world.client_account().balance_micro_usdc == 0
    assert world.amount(world.usdc(world.client)) == FUNDS


def test_anybody_may_pay_into_a_clients_deposit(world: World) -> None:
    world.do(
        instructions.deposit(
            world.deployment,
            funder=world.mallory.pubkey(),
            client_owner=world.client.pubkey(),
            source=world.usdc(world.mallory),
            amount_micro_usdc=5,
        )
    )
    assert world.client_account().balance_micro_usdc == DEPOSIT + 5


def test_an_escrow_records_its_agreement(world: World) -> None:
    world.do(world.open(70 * USDC))
    escrow = world.escrow_account()
    client = world.client_account()
    assert escrow.state is EscrowState.OPEN
    assert escrow.client == world.deployment.client(world.client.pubkey())
    assert escrow.provider == world.deployment.provider(world.provider.pubkey())
    assert escrow.job_id == JOB
    assert escrow.rent_payer == world.client.pubkey()
    assert escrow.voucher_signer == world.session.pubkey()
    assert escrow.fee_bps == TERMS.fee_bps
    assert escrow.max_micro_usdc == escrow.remaining_micro_usdc == 70 * USDC
    assert escrow.opened_unix_s == NOW
    assert escrow.deadline_unix_s == NOW + 3_600
    assert escrow.claim_until_unix_s == NOW + 3_600 + TERMS.grace_window_s
    assert not escrow.opened_by_operator
    assert client.locked_micro_usdc == 70 * USDC
    assert client.available_micro_usdc == DEPOSIT - 70 * USDC
    assert client.open_escrows == world.provider_account().open_escrows == 1
    assert client.sequence == escrow.sequence
    assert escrow.slash_bps == TERMS.slash_bps
    assert escrow.grace_window_s == TERMS.grace_window_s
    assert escrow.arbitration_window_s == TERMS.arbitration_window_s
    assert escrow.dispute_bond_micro_usdc == BOND


def test_the_longest_escrow_ends_with_the_unbonding_of_its_stake(world: World) -> None:
    longest_s = world.config_account().longest_escrow_s
    assert longest_s == 7 * DAY_S - 3_600 - 3 * DAY_S
    world.do(world.open(deadline=NOW + longest_s))
    world.do(world.request_unstake(STAKE))
    last_dispute_ends = world.escrow_account().claim_until_unix_s + TERMS.arbitration_window_s
    assert world.provider_account().unbonding_until_unix_s == last_dispute_ends


def test_an_operators_escrow_is_charged_to_its_limit(world: World) -> None:
    world.do(world.open(100 * USDC, by=world.operator))
    assert world.escrow_account().opened_by_operator
    assert world.escrow_account().rent_payer == world.operator.pubkey()
    assert world.client_account().operator_limit_micro_usdc == OPERATOR_LIMIT - 100 * USDC
    world.do(world.release(100 * USDC, by=world.operator))
    assert world.client_account().balance_micro_usdc == DEPOSIT - 100 * USDC


def test_an_operator_can_be_removed(world: World) -> None:
    world.do(
        instructions.set_operator(
            world.deployment,
            owner=world.client.pubkey(),
            operator=None,
            limit_micro_usdc=0,
            expiry_unix_s=0,
        )
    )
    assert world.client_account().operator is None


def test_a_release_pays_provider_and_treasury(world: World) -> None:
    world.do(world.open())
    world.do(world.release(10_000_001))
    fee = world.config_account().fee_micro_usdc(10_000_001)
    assert fee == 250_000, "rounded down: the provider gets the odd micro-USDC"
    assert world.amount(world.payout) == 10_000_001 - fee
    assert world.amount(world.treasury) == fee
    assert world.escrow_account().released_micro_usdc == 10_000_001
    assert world.client_account().spent_micro_usdc == 10_000_001
    assert world.provider_account().earned_micro_usdc == 10_000_001 - fee


@pytest.mark.parametrize(("amount", "fee"), [(39, 0), (40, 1), (19_999, 499), (20_000, 500)])
def test_a_fee_is_exact_and_rounded_down(world: World, amount: int, fee: int) -> None:
    world.do(world.open())
    world.do(world.release(amount))
    assert world.amount(world.payout) == amount - fee
    assert world.amount(world.treasury) == fee == world.config_account().fee_micro_usdc(amount)


def test_a_voucher_pays_what_is_new_in_its_total(world: World) -> None:
    world.do(world.open())
    world.do(world.release(10 * USDC))
    world.do(world.proof(40 * USDC), world.claim(40 * USDC), payer=world.mallory)
    assert world.escrow_account().released_micro_usdc == 40 * USDC
    assert world.amount(world.payout) == 39 * USDC


def test_a_voucher_may_take_the_whole_escrow(world: World) -> None:
    world.do(world.open(100 * USDC))
    world.do(world.proof(100 * USDC), world.claim(100 * USDC, close_to=world.client))
    assert world.client_account().balance_micro_usdc == DEPOSIT - 100 * USDC


def test_a_proof_may_come_anywhere_in_the_transaction(world: World) -> None:
    world.do(world.open())
    proof, claim = world.proof(USDC), world.claim(USDC, proof_index=2)
    world.do(world.deposit(1), world.deposit(2), proof, claim)
    assert world.escrow_account().released_micro_usdc == USDC


def test_vouchers_of_several_escrows_settle_in_one_transaction(world: World) -> None:
    jobs = [job_id("a"), job_id("b")]
    for job in jobs:
        world.do(world.open(10 * USDC, job=job))
    vouchers = [world.sign(world.voucher(2 * USDC, job=job)) for job in jobs]
    world.do(
        instructions.ed25519_instruction(vouchers),
        world.claim(2 * USDC, job=jobs[0], signature_index=0),
        world.claim(2 * USDC, job=jobs[1], signature_index=1),
    )
    assert world.provider_account().earned_micro_usdc == 3_900_000


def test_the_final_voucher_closes_the_escrow_at_once(world: World) -> None:
    world.do(world.open(by=world.operator))
    lamports = world.lamports(world.operator.pubkey())
    rent = world.lamports(world.escrow())
    world.do(world.proof(30 * USDC), world.claim(30 * USDC, close_to=world.operator))
    assert world.is_closed()
    assert world.lamports(world.operator.pubkey()) == lamports + rent
    client = world.client_account()
    assert (client.locked_micro_usdc, client.open_escrows) == (0, 0)
    assert client.available_micro_usdc == DEPOSIT - 30 * USDC
    assert world.provider_account().jobs_completed == 1


def test_the_last_voucher_can_close_after_it_was_redeemed(world: World) -> None:
    world.do(world.open())
    world.do(world.proof(30 * USDC), world.claim(30 * USDC))
    paid = world.amount(world.payout)
    world.do(world.proof(30 * USDC), world.claim(30 * USDC, close_to=world.client))
    assert world.is_closed()
    assert world.amount(world.payout) == paid


def test_a_provider_may_be_its_own_client(world: World) -> None:
    """One wallet as client, provider, rent payer and co-signer is one account to the program."""
    world.give_usdc(world.provider, FUNDS)
    world.client = world.provider
    world.do(instructions.open_client(world.deployment, owner=world.client.pubkey()))
    world.do(world.deposit(USDC))
    world.do(world.open(USDC))
    world.do(world.release(1, final=True, close_to=world.client))
    assert world.is_closed()


def test_a_provider_that_earned_nothing_frees_the_client_at_once(world: World) -> None:
    world.do(world.open())
    world.do(world.relinquish())
    assert world.is_closed()
    assert world.client_account().available_micro_usdc == DEPOSIT
    assert world.provider_account().jobs_completed == 0
    assert world.amount(world.payout) == 0


def test_a_provider_can_give_up_the_rest(world: World) -> None:
    world.do(world.open())
    world.do(world.release(10 * USDC))
    world.do(world.relinquish())
    assert world.client_account().available_micro_usdc == DEPOSIT - 10 * USDC


def test_both_signatures_close_with_the_last_release(world: World) -> None:
    world.do(world.open())
    world.do(world.release(25 * USDC, final=True, close_to=world.client))
    assert world.is_closed()
    assert world.client_account().available_micro_usdc == DEPOSIT - 25 * USDC
    assert world.provider_account().jobs_completed == 1


def test_the_clients_final_release_alone_starts_the_challenge_window(world: World) -> None:
    world.do(world.open(deadline=NOW + DAY_S))
    world.do(world.release(0, final=True))
    assert world.escrow_account().claim_until_unix_s == NOW + TERMS.grace_window_s
    world.set_time(NOW + TERMS.grace_window_s + 1)
    world.do(world.refund())
    assert world.client_account().available_micro_usdc == DEPOSIT


def test_a_final_release_never_lengthens_the_window(world: World) -> None:
    world.do(world.open(deadline=NOW + 10))
    claim_until = world.escrow_account().claim_until_unix_s
    world.set_time(NOW + 1_000)
    world.do(world.release(1, final=True))
    assert world.escrow_account().claim_until_unix_s == claim_until


def test_a_voucher_beats_the_clients_final_release(world: World) -> None:
    world.do(world.open(deadline=NOW + DAY_S))
    proof = world.proof(45 * USDC)
    world.do(world.release(0, final=True))
    world.set_time(NOW + TERMS.grace_window_s)
    world.do(proof, world.claim(45 * USDC, close_to=world.client))
    assert world.provider_account().earned_micro_usdc == 43_875_000


def test_an_expired_escrow_is_refunded_by_anybody(world: World) -> None:
    world.do(world.open(by=world.operator))
    world.do(world.release(10 * USDC, by=world.operator))
    rent = world.lamports(world.escrow())
    before = world.lamports(world.operator.pubkey())
    world.set_time(world.escrow_account().claim_until_unix_s + 1)
    world.do(world.refund(rent_payer=world.operator), payer=world.mallory)
    assert world.client_account().available_micro_usdc == DEPOSIT - 10 * USDC
    assert world.lamports(world.operator.pubkey()) == before + rent


def test_a_job_id_can_be_opened_again_after_it_closed(world: World) -> None:
    world.do(world.open())
    first = world.escrow_account().sequence
    world.do(world.relinquish())
    world.do(world.open())
    assert world.escrow_account().sequence == first + 1


def test_an_arbiter_divides_a_disputed_escrow(world: World) -> None:
    world.do(world.open())
    world.do(world.dispute())
    assert world.escrow_account().state is EscrowState.DISPUTED
    world.do(world.resolve(30 * USDC))
    assert world.is_closed()
    assert world.amount(world.payout) == 29_250_000
    assert world.client_account().available_micro_usdc == DEPOSIT - 30 * USDC


@pytest.mark.parametrize("party", ["client", "operator", "provider"])
def test_either_side_may_dispute(world: World, party: str) -> None:
    world.do(world.open(by=world.operator))
    world.do(world.dispute(by=getattr(world, party)))
    assert world.escrow_account().state is EscrowState.DISPUTED


def test_an_arbiter_who_paid_the_rent_gets_it_back(world: World) -> None:
    world.do(
        instructions.set_operator(
            world.deployment,
            owner=world.client.pubkey(),
            operator=world.arbiter.pubkey(),
            limit_micro_usdc=USDC,
            expiry_unix_s=NOW + DAY_S,
        )
    )
    world.do(world.open(USDC, by=world.arbiter))
    world.do(world.dispute())
    before = world.lamports(world.arbiter.pubkey())
    world.do(world.resolve(0, rent_payer=world.arbiter))
    assert world.lamports(world.arbiter.pubkey()) > before


def test_slashed_stake_goes_to_the_harmed_client(world: World) -> None:
    world.do(world.open())
    world.do(world.dispute())
    world.do(world.slash(400 * USDC))
    assert world.provider_account().staked_micro_usdc == STAKE - 400 * USDC
    assert world.provider_account().slashed_micro_usdc == 400 * USDC
    assert world.client_account().balance_micro_usdc == DEPOSIT + 400 * USDC
    assert world.escrow_account().slashed_micro_usdc == 400 * USDC


def test_slashing_takes_unbonding_stake_first(world: World) -> None:
    world.do(world.open())
    world.do(world.request_unstake(300 * USDC))
    world.do(world.dispute())
    world.do(world.slash(500 * USDC))
    provider = world.provider_account()
    assert (provider.staked_micro_usdc, provider.unbonding_micro_usdc) == (500 * USDC, 0)


def test_signed_vouchers_are_paid_during_a_dispute(world: World) -> None:
    world.do(world.open())
    proof = world.proof(20 * USDC)
    world.do(world.dispute())
    world.set_time(world.escrow_account().claim_until_unix_s + DAY_S)
    world.do(proof, world.claim(20 * USDC))
    assert world.escrow_account().released_micro_usdc == 20 * USDC


def test_a_dispute_lapses_when_the_arbiter_stays_silent(world: World) -> None:
    world.do(world.open())
    world.do(world.dispute())
    end = world.escrow_account().claim_until_unix_s + TERMS.arbitration_window_s
    world.set_time(end + 1)
    world.do(world.refund())
    assert world.client_account().available_micro_usdc == DEPOSIT


def test_the_parties_can_settle_their_dispute_themselves(world: World) -> None:
    world.do(world.open())
    world.do(world.dispute())
    world.do(
        world.proof(5 * USDC),
        world.claim(5 * USDC, close_to=world.client, client_cosigns=True),
    )
    assert world.is_closed()
    world.do(world.open())
    world.do(world.dispute())
    world.do(world.relinquish(client_cosigns=True))
    assert world.is_closed()


def test_stake_comes_back_after_its_window(world: World) -> None:
    world.do(world.request_unstake(900 * USDC))
    world.set_time(NOW + TERMS.unbonding_window_s)
    world.do(world.withdraw_stake())
    assert world.amount(world.usdc(world.provider)) == FUNDS - 100 * USDC
    assert world.provider_account().unbonding_micro_usdc == 0


def test_a_later_request_restarts_the_window_for_all(world: World) -> None:
    world.do(world.request_unstake(1))
    world.set_time(NOW + DAY_S)
    world.do(world.request_unstake(1))
    provider = world.provider_account()
    assert provider.unbonding_micro_usdc == 2
    assert provider.unbonding_until_unix_s == NOW + DAY_S + TERMS.unbonding_window_s


def test_a_pause_blocks_no_exit(world: World) -> None:
    world.do(world.open())
    world.do(world.open(job=job_id("second")))
    world.do(world.set_paused())
    world.do(world.release(USDC))
    world.do(world.proof(2 * USDC), world.claim(2 * USDC, close_to=world.client))
    world.do(world.dispute(job=job_id("second")))
    world.do(world.resolve(0, job=job_id("second")))
    world.do(world.withdraw(DEPOSIT - 2 * USDC))
    world.do(world.request_unstake(STAKE))
    world.set_time(NOW + TERMS.unbonding_window_s)
    world.do(world.withdraw_stake())
    world.do(world.set_paused(False))
    assert not world.config_account().paused


def test_a_treasury_that_cannot_receive_loses_its_fee_only(world: World) -> None:
    world.do(world.open())
    account = world.svm.get_account(world.treasury)
    assert account is not None
    frozen = bytearray(account.data)
    frozen[108] = 2
    world.replace_data(world.treasury, bytes(frozen))
    world.do(world.release(10 * USDC))
    assert world.amount(world.payout) == 10 * USDC
    assert world.provider_account().earned_micro_usdc == 10 * USDC


def test_donations_to_a_vault_are_nobodys(world: World) -> None:
    world.donate(world.client_account().vault, 77)
    assert world.client_account().balance_micro_usdc == DEPOSIT
    world.do(world.withdraw(DEPOSIT), donated=77)


def test_a_stranger_cannot_block_an_address_by_funding_it() -> None:
    world = World(ready=False)
    deployment = world.deployment
    client = deployment.client(world.client.pubkey())
    for address in (deployment.config, client, deployment.vault(client)):
        world.svm.airdrop(address, 890_880)
    world.create_market()
    assert world.client_account().balance_micro_usdc == DEPOSIT
