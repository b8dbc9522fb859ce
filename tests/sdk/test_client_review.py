"""What a client's wallet signs: transactions as coordinators write them, and as liars would."""

import time
from collections.abc import Sequence
from dataclasses import replace

import pytest
from solders.hash import Hash
from solders.instruction import Instruction
from solders.message import MessageV0, to_bytes_versioned
from solders.pubkey import Pubkey

from coordinator.fake_parties import DEPLOYMENT
from neurogrid.client_review import Asked, Market, review
from neurogrid.signed_transactions import NotSigned
from neurogrid_contracts.client_money import (
    Plan,
    Standing,
    plan_deposit,
    plan_operator,
    plan_withdraw,
)
from neurogrid_coordinator.money.transfer_plans import with_spending_limit
from neurogrid_wallet.currencies import currencies_of
from neurogrid_wallet.keys import KeyPair
from neurogrid_wallet.transactions import ComputeBudget
from neurogrid_wallet.usdc import pay

USDC = 1_000_000
OWNER, OTHER, OPERATOR = (Pubkey(KeyPair(bytes([n]) * 32).public_key) for n in (1, 2, 3))
WALLET = str(OWNER)
MARKET = Market(str(DEPLOYMENT.program_id), str(DEPLOYMENT.usdc_mint), str(DEPLOYMENT.admin))
(CURRENCY,) = currencies_of(DEPLOYMENT.usdc_mint, {})
STANDING = Standing(10**9, {"USDC": 50 * USDC}, None)
UNTIL_S = int(time.time()) + 30 * 86_400

DEPOSIT = plan_deposit(STANDING, OWNER, DEPLOYMENT, CURRENCY, 5 * USDC)
LIMITED = with_spending_limit(DEPOSIT, OWNER, DEPLOYMENT, OPERATOR, 9 * USDC, UNTIL_S)
WITHDRAWAL = plan_withdraw(STANDING, OWNER, DEPLOYMENT, CURRENCY, 4 * USDC, OWNER)
GIFT = plan_withdraw(STANDING, OWNER, DEPLOYMENT, CURRENCY, 4 * USDC, OTHER)
LEAVE = plan_operator(STANDING, OWNER, DEPLOYMENT, OPERATOR, 9 * USDC, UNTIL_S)
NO_LEAVE = plan_operator(STANDING, OWNER, DEPLOYMENT, None, 0, 0)

deposit = Asked("deposit", 5 * USDC)
limited = Asked("deposit", 5 * USDC, "", 9 * USDC, UNTIL_S)
withdrawal = Asked("withdrawal", 4 * USDC)
leave = Asked("operator", 0, "", 9 * USDC, UNTIL_S)


def message(
    instructions: Sequence[Instruction], payer: Pubkey = OWNER, price: int = 0, units: int = 60_000
) -> bytes:
    """As a coordinator's draft is made (`wallet_chain.draft`)."""
    budget = ComputeBudget(unit_limit=units, unit_price_micro_lamports=price)
    compiled = MessageV0.try_compile(payer, budget.around(instructions), [], Hash.default())
    return to_bytes_versioned(compiled)


def of(plan: Plan) -> bytes:
    return message([*plan.first, *plan.instructions])


def test_a_markets_addresses_follow_from_its_chain_file() -> None:
    assert MARKET.config == str(DEPLOYMENT.config)
    assert MARKET.client(WALLET) == str(DEPLOYMENT.client(OWNER))
    assert MARKET.tokens(WALLET) == str(DEPLOYMENT.token_account(OWNER))


@pytest.mark.parametrize(
    ("asked", "plan"),
    [
        (deposit, DEPOSIT),
        (limited, LIMITED),
        (withdrawal, WITHDRAWAL),
        (replace(withdrawal, recipient=str(OTHER)), GIFT),
        (leave, LEAVE),
        (Asked("operator", 0, "", 0), NO_LEAVE),
    ],
)
def test_what_was_asked_for_is_signed(asked: Asked, plan: Plan) -> None:
    review(asked, of(plan), WALLET, MARKET)


elsewhere = replace(DEPLOYMENT, admin=OTHER)
foreign = replace(DEPLOYMENT, program_id=OTHER)


@pytest.mark.parametrize(
    ("asked", "lie", "words"),
    [
        (deposit, of(plan_deposit(STANDING, OWNER, DEPLOYMENT, CURRENCY, 6 * USDC)), "moves"),
        (deposit, message([*DEPOSIT.instructions, *DEPOSIT.instructions]), "moves"),
        (deposit, of(LIMITED), "promise"),
        (limited, of(DEPOSIT), "promise"),
        (replace(limited, limit_micro=8 * USDC), of(LIMITED), "promise"),
        (replace(limited, until_s=UNTIL_S - 86_400), of(LIMITED), "longer"),
        (leave, of(NO_LEAVE), "promise"),
        (deposit, of(WITHDRAWAL), "nobody has asked for"),
        (withdrawal, of(GIFT), "nobody has asked for"),
        (withdrawal, message(GIFT.instructions[1:]), "token account"),
        (leave, of(LIMITED), "instruction 6"),
        (deposit, of(plan_deposit(STANDING, OWNER, elsewhere, CURRENCY, 5 * USDC)), "of another"),
        (deposit, of(plan_deposit(STANDING, OWNER, foreign, CURRENCY, 5 * USDC)), "not the market"),
        (deposit, message(pay(OWNER, OWNER, OTHER, DEPLOYMENT.usdc_mint, 5 * USDC)), "nobody"),
        (deposit, message(DEPOSIT.instructions, payer=OTHER), "signed by"),
        (deposit, message(DEPOSIT.instructions, price=10**9), "thousandth"),
        (deposit, of(DEPOSIT)[:-1], "can't be read"),
        (deposit, message([]), "moves 0"),
    ],
)
def test_anything_else_is_not_signed(asked: Asked, lie: bytes, words: str) -> None:
    with pytest.raises(NotSigned, match=words):
        review(asked, lie, WALLET, MARKET)


def test_another_clients_account_is_not_paid_into() -> None:
    plan = plan_deposit(STANDING, OTHER, DEPLOYMENT, CURRENCY, 5 * USDC)
    (instruction,) = plan.instructions
    swapped = Instruction(
        instruction.program_id,
        instruction.data,
        [
            type(each)(OWNER, each.is_signer, each.is_writable) if each.is_signer else each
            for each in instruction.accounts
        ],
    )
    with pytest.raises(NotSigned, match="another client"):
        review(deposit, message([swapped]), WALLET, MARKET)
