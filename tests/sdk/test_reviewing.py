"""What a provider's program signs by itself: transactions as coordinators write them, and as liars would."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
from solders.hash import Hash
from solders.instruction import AccountMeta, Instruction
from solders.message import Message, MessageV0, to_bytes_versioned
from solders.pubkey import Pubkey

from coordinator.fake_parties import DEPLOYMENT
from coordinator.fake_wallet_chain import escrow_account, provider_account, terms
from neurogrid.machine.reviewing import Program, program_in, review
from neurogrid.signed_transactions import NotSigned
from neurogrid_contracts.client_money import Plan
from neurogrid_contracts.instructions import (
    SignedVoucher,
    register_provider,
    stake,
    withdraw_stake,
)
from neurogrid_coordinator.money.provider_plans import (
    plan_claim,
    plan_closing,
    plan_giving_up,
    plan_rebond,
    plan_stake,
    plan_stake_withdrawal,
    plan_unstake,
)
from neurogrid_coordinator.money.wallet_chain import ProviderStanding
from neurogrid_marketplace.errors import InvalidValue
from neurogrid_marketplace.solana_message import derived_address, read_message
from neurogrid_marketplace.voucher import Voucher
from neurogrid_wallet.keys import KeyPair
from neurogrid_wallet.transactions import ComputeBudget
from neurogrid_wallet.usdc import pay

USDC = 1_000_000
OWNER, OTHER = (Pubkey(KeyPair(bytes([n]) * 32).public_key) for n in (1, 2))
WALLET = str(OWNER)
PROGRAM = Program(str(DEPLOYMENT.program_id), str(DEPLOYMENT.config))
STANDING = ProviderStanding(
    provider_account(WALLET, staked=9 * USDC, unbonding=USDC), terms(), 50 * USDC, 0
)
MINT = DEPLOYMENT.usdc_mint


def message(
    instructions: Sequence[Instruction], payer: Pubkey = OWNER, price: int = 0, units: int = 60_000
) -> bytes:
    """As a coordinator's draft is made (`wallet_chain.draft`)."""
    budget = ComputeBudget(unit_limit=units, unit_price_micro_lamports=price)
    compiled = MessageV0.try_compile(payer, budget.around(instructions), [], Hash.default())
    return to_bytes_versioned(compiled)


def of(plan: Plan) -> bytes:
    return message([*plan.first, *plan.instructions])


def claim() -> Plan:
    voucher = SignedVoucher(Voucher(1, bytes(32), 1, 5), OTHER, bytes(64))
    return plan_claim(STANDING, OWNER, OTHER, DEPLOYMENT, escrow_account(10 * USDC), voucher)


new = replace(STANDING, account=None)
GOOD = {
    "first stake": ("stake", plan_stake(new, OWNER, DEPLOYMENT, 5 * USDC), 5 * USDC),
    "stake": ("stake", plan_stake(STANDING, OWNER, DEPLOYMENT, 5 * USDC), 5 * USDC),
    "unstake": ("unstake", plan_unstake(STANDING, OWNER, DEPLOYMENT, USDC), USDC),
    "rebond": ("rebond", plan_rebond(STANDING, OWNER, DEPLOYMENT, USDC), USDC),
    "close": ("close", plan_closing(OWNER, DEPLOYMENT), None),
    "claim": ("claim", claim(), None),
    "giving up": ("claim", plan_giving_up(OWNER, OTHER, DEPLOYMENT, escrow_account(USDC)), None),
}


@pytest.mark.parametrize("name", GOOD)
def test_what_was_asked_for_is_signed(name: str) -> None:
    kind, plan, amount = GOOD[name]
    assert program_in(of(plan)) == PROGRAM
    review(kind, of(plan), wallet=WALLET, program=PROGRAM, amount_micro=amount)


def test_stake_that_has_unbonded_is_withdrawn_to_the_wallet() -> None:
    assert STANDING.account is not None
    plan = plan_stake_withdrawal(STANDING.account, OWNER, DEPLOYMENT)
    review("stake_withdrawal", of(plan), wallet=WALLET, program=PROGRAM)
    elsewhere = withdraw_stake(DEPLOYMENT, owner=OWNER, destination=DEPLOYMENT.token_account(OTHER))
    stolen = message([plan.instructions[0], elsewhere])
    with pytest.raises(NotSigned, match="token account that is not"):
        review("stake_withdrawal", stolen, wallet=WALLET, program=PROGRAM)


def test_what_is_earned_is_not_given_up() -> None:
    ask = {"wallet": WALLET, "program": PROGRAM}
    review("claim", of(claim()), redeems_micro=5, **ask)  # type: ignore[arg-type] # mixed values
    for plan in (claim(), plan_giving_up(OWNER, OTHER, DEPLOYMENT, escrow_account(USDC))):
        with pytest.raises(NotSigned, match="where 6 are to be"):
            review("claim", of(plan), redeems_micro=6, **ask)  # type: ignore[arg-type] # the same


def test_what_is_given_up_is_not_redeemed() -> None:
    given_up = plan_giving_up(OWNER, OTHER, DEPLOYMENT, escrow_account(USDC))
    ask = {"wallet": WALLET, "program": PROGRAM, "redeems_micro": 0}
    review("claim", of(given_up), **ask)  # type: ignore[arg-type] # mixed values
    with pytest.raises(NotSigned, match="it redeems 5 millionths, where 0 are to be"):
        review("claim", of(claim()), **ask)  # type: ignore[arg-type] # the same


def test_a_payout_goes_to_its_recipient_alone() -> None:
    sent = message(pay(OWNER, OWNER, OTHER, MINT, 3 * USDC))
    ask = {"wallet": WALLET, "program": None, "recipient": str(OTHER)}
    review("payout", sent, amount_micro=3 * USDC, **ask)  # type: ignore[arg-type] # mixed values
    with pytest.raises(NotSigned, match="does not send to"):
        review("payout", sent, wallet=WALLET, program=None, recipient=WALLET)
    with pytest.raises(NotSigned, match="moves 3000000 millionths, and 2000000 were asked for"):
        review("payout", sent, amount_micro=2 * USDC, **ask)  # type: ignore[arg-type] # the same
    with pytest.raises(NotSigned, match="tokens that nobody has asked for"):
        review("stake", sent, wallet=WALLET, program=PROGRAM)


def _staking(owner: Pubkey = OWNER, amount: int = USDC) -> Instruction:
    return stake(
        DEPLOYMENT,
        funder=OWNER,
        provider_owner=owner,
        source=DEPLOYMENT.token_account(OWNER),
        amount_micro_usdc=amount,
    )


def _elsewhere() -> Instruction:
    another = replace(DEPLOYMENT, admin=OTHER)
    return stake(
        another,
        funder=OWNER,
        provider_owner=OWNER,
        source=DEPLOYMENT.token_account(OWNER),
        amount_micro_usdc=USDC,
    )


ANY_PROGRAM = Instruction(OTHER, b"\2", [AccountMeta(OWNER, is_signer=True, is_writable=True)])
LIES = {
    "another provider": ([_staking(OTHER)], "another provider's stake"),
    "another amount": ([_staking(amount=2 * USDC)], "moves 2000000"),
    "twice": ([_staking(), _staking()], "moves 2000000"),
    "another market": ([_elsewhere()], "another market of the same program"),
    "another program": ([_staking(), ANY_PROGRAM], "not the market's program"),
    "another instruction": (
        list(plan_unstake(STANDING, OWNER, DEPLOYMENT, USDC).instructions),
        "which stake has not",
    ),
    "another's pay": (
        [register_provider(DEPLOYMENT, owner=OWNER, payout_owner=OTHER), _staking()],
        "paid to another wallet",
    ),
    "tokens besides": ([_staking(), *pay(OWNER, OWNER, OTHER, MINT, 1)], "nobody has asked for"),
}


@pytest.mark.parametrize("name", LIES)
def test_what_else_a_coordinator_writes_is_not_signed(name: str) -> None:
    instructions, why = LIES[name]
    with pytest.raises(NotSigned, match=why):
        review("stake", message(instructions), wallet=WALLET, program=PROGRAM, amount_micro=USDC)


def test_nothing_is_signed_with_others_for_much_of_a_fee_or_that_can_not_be_read() -> None:
    good = [_staking()]
    ask = {"wallet": WALLET, "program": PROGRAM}
    for text, why in [
        (message(good, payer=OTHER), "alone"),
        (message(good, price=17_000_000), "thousandth of a SOL"),
        (message(good)[:-1], "can't be read"),
        (message(good) + b"\0", "can't be read"),
        (b"", "can't be read"),
    ]:
        with pytest.raises(NotSigned, match=why):
            review("stake", text, **ask)  # type: ignore[arg-type] # mixed values
    review("stake", message(good, price=16_000_000), **ask)  # type: ignore[arg-type] # the same
    with pytest.raises(NotSigned, match="not a provider's"):
        review("deposit", message(good), **ask)  # type: ignore[arg-type] # the same


def test_messages_are_read_as_solders_reads_them() -> None:
    instructions = [_staking(), *pay(OWNER, OWNER, OTHER, MINT, 1)]
    legacy = Message.new_with_blockhash(instructions, OWNER, Hash.default())
    for read in (read_message(bytes(legacy)), read_message(message(instructions))):
        assert read.signers == (WALLET,)
        found = [one for one in read.instructions if one.program != str(ANY_BUDGET)]
        assert [one.program for one in found] == [str(one.program_id) for one in instructions]
        assert [one.data for one in found] == [bytes(one.data) for one in instructions]
        for one, made in zip(found, instructions, strict=True):
            assert one.accounts == tuple(str(meta.pubkey) for meta in made.accounts)
    for cut in range(len(bytes(legacy))):
        with pytest.raises(InvalidValue):
            read_message(bytes(legacy)[:cut])


ANY_BUDGET = Pubkey.from_string("ComputeBudget111111111111111111111111111111")


@pytest.mark.parametrize("number", range(8))
def test_addresses_are_derived_as_solders_derives_them(number: int) -> None:
    seeds = [b"provider", bytes([number]) * 32]
    expected, _ = Pubkey.find_program_address(seeds, DEPLOYMENT.program_id)
    assert derived_address(str(DEPLOYMENT.program_id), *seeds) == str(expected)
