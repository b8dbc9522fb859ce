"""What the program refuses whom: authority, amounts, times, states.

Every attack must fail with the named error and change no account. The attacks that pass forged or
mixed-up accounts are in ``test_program_forgeries.py``, those on vouchers in
``test_program_vouchers.py``, those of several steps in ``test_program_stories.py``.
"""

from collections.abc import Callable

import pytest
from solders.instruction import Instruction

from contracts.program_parties import (
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
from neurogrid_contracts.errors import ProgramErrorCode as Code
from neurogrid_contracts.instructions import SYSTEM_PROGRAM_ID

Attack = Callable[[World], Instruction]
U64_MAX = 2**64 - 1


def attack(name: str, expected: Code, steps: Attack) -> object:
    return pytest.param(expected, steps, id=name)


def patched(instruction: Instruction, offset: int, value: bytes) -> Instruction:
    """The instruction with some argument bytes overwritten, past what the builder would allow."""
    data = bytearray(instruction.data)
    data[1 + offset : 1 + offset + len(value)] = value
    return with_data(instruction, bytes(data))


def le64(value: int) -> bytes:
    return value.to_bytes(8, "little", signed=value < 0)


# --- before there is a market ---

GRACE, ARBITRATION, UNBONDING = 20, 28, 12


@pytest.mark.parametrize(
    ("expected", "steps"),
    [
        attack(
            "taking the address of another admin's config",
            Code.WRONG_ADDRESS,
            lambda w: with_account(w.init_config(), 0, w.mallory.pubkey()),
        ),
        attack(
            "creating it without the admin's signature",
            Code.MISSING_SIGNER,
            lambda w: with_account(w.init_config(), 0, signer=False),
        ),
        attack(
            "a fee above 20 %",
            Code.WRONG_AMOUNT,
            lambda w: patched(w.init_config(), 0, (2_001).to_bytes(2, "little")),
        ),
        attack(
            "slashing more than everything",
            Code.WRONG_AMOUNT,
            lambda w: patched(w.init_config(), 2, (10_001).to_bytes(2, "little")),
        ),
        attack(
            "no grace window, so that a client could outrun every voucher",
            Code.WRONG_TIME,
            lambda w: patched(w.init_config(), GRACE, le64(0)),
        ),
        attack(
            "a negative grace window",
            Code.WRONG_TIME,
            lambda w: patched(w.init_config(), GRACE, le64(-1)),
        ),
        attack(
            "no arbitration window",
            Code.WRONG_TIME,
            lambda w: patched(w.init_config(), ARBITRATION, le64(0)),
        ),
        attack(
            "unbonding that ends before a dispute can be decided",
            Code.WRONG_TIME,
            lambda w: patched(
                w.init_config(),
                UNBONDING,
                le64(TERMS.grace_window_s + TERMS.arbitration_window_s),
            ),
        ),
        attack(
            "a window that overflows the clock",
            Code.WRONG_TIME,
            lambda w: patched(w.init_config(), UNBONDING, le64(2**63 - 1)),
        ),
        attack(
            "windows whose sum wraps around",
            Code.WRONG_TIME,
            lambda w: patched(w.init_config(), GRACE, le64(2**63 - 1) * 2),
        ),
        attack(
            "an arbiter that nobody can be",
            Code.INSTRUCTION_DATA,
            lambda w: patched(w.init_config(), 44, bytes(32)),
        ),
    ],
)
def test_a_market_is_not_created_by(expected: Code, steps: Attack) -> None:
    world = World(ready=False)
    world.refuse(expected, steps(world))


# --- a market, a client with a deposit, a provider with a stake, no escrow ---


@pytest.mark.parametrize(
    ("expected", "steps"),
    [
        attack("creating the market twice", Code.ALREADY_EXISTS, lambda w: w.init_config()),
        attack(
            "registering twice",
            Code.ALREADY_EXISTS,
            lambda w: instructions.register_provider(
                w.deployment, owner=w.provider.pubkey(), payout_owner=w.mallory.pubkey()
            ),
        ),
        attack(
            "registering with a payout that nobody can receive",
            Code.INSTRUCTION_DATA,
            lambda w: instructions.register_provider(
                w.deployment, owner=w.mallory.pubkey(), payout_owner=SYSTEM_PROGRAM_ID
            ),
        ),
        attack(
            "opening a client twice",
            Code.ALREADY_EXISTS,
            lambda w: instructions.open_client(w.deployment, owner=w.client.pubkey()),
        ),
        attack(
            "pausing without being the admin",
            Code.NOT_AUTHORIZED,
            lambda w: with_account(w.set_paused(), 0, w.mallory.pubkey()),
        ),
        attack(
            "pausing without the admin's signature",
            Code.MISSING_SIGNER,
            lambda w: with_account(w.set_paused(), 0, signer=False),
        ),
        attack(
            "pausing with a value that is neither yes nor no",
            Code.INSTRUCTION_DATA,
            lambda w: patched(w.set_paused(), 0, b"\x02"),
        ),
        attack("staking nothing", Code.WRONG_AMOUNT, lambda w: w.stake(0)),
        attack("a stake that wraps around", Code.OVERFLOW, lambda w: w.stake(U64_MAX)),
        attack("depositing nothing", Code.WRONG_AMOUNT, lambda w: w.deposit(0)),
        attack("a deposit that wraps around", Code.OVERFLOW, lambda w: w.deposit(U64_MAX)),
        attack(
            "unstaking for somebody else",
            Code.NOT_AUTHORIZED,
            lambda w: with_account(w.request_unstake(1), 0, w.mallory.pubkey()),
        ),
        attack("unstaking nothing", Code.WRONG_AMOUNT, lambda w: w.request_unstake(0)),
        attack(
            "unstaking more than the stake",
            Code.INSUFFICIENT_STAKE,
            lambda w: w.request_unstake(STAKE + 1),
        ),
        attack(
            "withdrawing stake never asked for", Code.WRONG_AMOUNT, lambda w: w.withdraw_stake()
        ),
        attack(
            "withdrawing another's deposit",
            Code.NOT_AUTHORIZED,
            lambda w: with_account(w.withdraw(1, to=w.mallory), 0, w.mallory.pubkey()),
        ),
        attack(
            "an operator withdrawing",
            Code.NOT_AUTHORIZED,
            lambda w: with_account(w.withdraw(1), 0, w.operator.pubkey()),
        ),
        attack(
            "withdrawing without the owner's signature",
            Code.MISSING_SIGNER,
            lambda w: with_account(w.withdraw(1, to=w.mallory), 0, signer=False),
        ),
        attack("withdrawing nothing", Code.WRONG_AMOUNT, lambda w: w.withdraw(0)),
        attack(
            "withdrawing more than the balance",
            Code.INSUFFICIENT_BALANCE,
            lambda w: w.withdraw(DEPOSIT + 1),
        ),
        attack(
            "making oneself the operator",
            Code.NOT_AUTHORIZED,
            lambda w: with_account(w.set_operator(), 0, w.mallory.pubkey()),
        ),
        attack(
            "an operator raising its own limit",
            Code.NOT_AUTHORIZED,
            lambda w: with_account(w.set_operator(U64_MAX), 0, w.operator.pubkey()),
        ),
        attack(
            "opening an escrow on another's deposit",
            Code.NOT_AUTHORIZED,
            lambda w: w.open(by=w.mallory),
        ),
        attack(
            "opening without a signature",
            Code.MISSING_SIGNER,
            lambda w: with_account(w.open(), 0, signer=False),
        ),
        attack("opening an empty escrow", Code.WRONG_AMOUNT, lambda w: w.open(0)),
        attack(
            "promising more than the balance",
            Code.INSUFFICIENT_BALANCE,
            lambda w: w.open(DEPOSIT + 1),
        ),
        attack(
            "promising all the money there can be",
            Code.INSUFFICIENT_BALANCE,
            lambda w: w.open(U64_MAX),
        ),
        attack(
            "an operator above its limit",
            Code.OVER_LIMIT,
            lambda w: w.open(OPERATOR_LIMIT + 1, by=w.operator),
        ),
        attack("a deadline that is now", Code.WRONG_TIME, lambda w: w.open(deadline=NOW)),
        attack("a deadline before time began", Code.WRONG_TIME, lambda w: w.open(deadline=-1)),
        attack(
            "a deadline that overflows",
            Code.WRONG_TIME,
            lambda w: w.open(deadline=2**63 - 1),
        ),
        attack(
            "a deadline after which the stake could be gone",
            Code.WRONG_TIME,
            lambda w: w.open(deadline=NOW + 4 * DAY_S - 3_600 + 1),
        ),
        attack(
            "a voucher signer that nobody can be",
            Code.INSTRUCTION_DATA,
            lambda w: patched(w.open(), 48, bytes(32)),
        ),
        attack(
            "an instruction that does not exist",
            Code.INSTRUCTION_DATA,
            lambda w: with_data(w.deposit(1), b"\xff"),
        ),
        attack(
            "an instruction without a tag",
            Code.INSTRUCTION_DATA,
            lambda w: with_data(w.deposit(1), b""),
        ),
        attack(
            "arguments that are too short",
            Code.INSTRUCTION_DATA,
            lambda w: with_data(w.deposit(1), bytes(w.deposit(1).data)[:-1]),
        ),
        attack(
            "arguments that are too long",
            Code.INSTRUCTION_DATA,
            lambda w: with_data(w.deposit(1), bytes(w.deposit(1).data) + b"\0"),
        ),
        attack(
            "releasing from an escrow that was never opened",
            Code.WRONG_OWNER,
            lambda w: w.release(1),
        ),
    ],
)
def test_an_idle_market_refuses(expected: Code, steps: Attack) -> None:
    world = World()
    world.refuse(expected, steps(world))


# --- an escrow of 100 USDC, opened by the client's owner ---


@pytest.mark.parametrize(
    ("expected", "steps"),
    [
        attack("opening the same job again", Code.ALREADY_EXISTS, lambda w: w.open(5)),
        attack(
            "withdrawing what is locked",
            Code.INSUFFICIENT_BALANCE,
            lambda w: w.withdraw(DEPOSIT - 100 * USDC + 1),
        ),
        attack(
            "promising what is locked",
            Code.INSUFFICIENT_BALANCE,
            lambda w: w.open(DEPOSIT - 100 * USDC + 1, job=job_id("second")),
        ),
        attack(
            "a provider paying itself", Code.NOT_AUTHORIZED, lambda w: w.release(1, by=w.provider)
        ),
        attack("a stranger paying", Code.NOT_AUTHORIZED, lambda w: w.release(1, by=w.mallory)),
        attack(
            "an operator spending what its limit was never charged for",
            Code.NOT_AUTHORIZED,
            lambda w: w.release(1, by=w.operator),
        ),
        attack(
            "an operator disputing what is not its business",
            Code.NOT_AUTHORIZED,
            lambda w: w.dispute(by=w.operator),
        ),
        attack(
            "releasing without a signature",
            Code.MISSING_SIGNER,
            lambda w: with_account(w.release(1), 0, signer=False),
        ),
        attack("releasing nothing", Code.WRONG_AMOUNT, lambda w: w.release(0)),
        attack(
            "releasing more than the escrow",
            Code.WRONG_AMOUNT,
            lambda w: w.release(100 * USDC + 1),
        ),
        attack(
            "releasing all the money there can be",
            Code.WRONG_AMOUNT,
            lambda w: w.release(U64_MAX),
        ),
        attack(
            "final that is neither yes nor no",
            Code.INSTRUCTION_DATA,
            lambda w: patched(w.release(1), 8, b"\x02"),
        ),
        attack(
            "expecting another total",
            Code.STALE_RELEASE,
            lambda w: w.release(1, released=1),
        ),
        attack(
            "closing without giving the rent back",
            Code.NOT_WRITABLE,
            lambda w: w.release(1, final=True, close_to=w.mallory),
        ),
        attack(
            "relinquishing into another's pocket",
            Code.ACCOUNT_COUNT,
            lambda w: w.relinquish(rent_payer=w.mallory),
        ),
        attack("refunding before the deadline", Code.WRONG_TIME, lambda w: w.refund()),
        attack(
            "refunding to another rent payer",
            Code.WRONG_LINK,
            lambda w: w.refund(rent_payer=w.mallory),
        ),
        attack("a stranger disputing", Code.NOT_AUTHORIZED, lambda w: w.dispute(by=w.mallory)),
        attack(
            "disputing without a signature",
            Code.MISSING_SIGNER,
            lambda w: with_account(w.dispute(), 0, signer=False),
        ),
        attack("slashing without a dispute", Code.WRONG_STATE, lambda w: w.slash(1)),
        attack("resolving without a dispute", Code.WRONG_STATE, lambda w: w.resolve(1)),
        attack(
            "a client relinquishing for the provider",
            Code.NOT_AUTHORIZED,
            lambda w: with_account(w.relinquish(rent_payer=w.mallory), 0, w.client.pubkey()),
        ),
        attack(
            "relinquishing without the provider's signature",
            Code.MISSING_SIGNER,
            lambda w: with_account(w.relinquish(), 0, signer=False),
        ),
    ],
)
def test_an_open_escrow_refuses(expected: Code, steps: Attack) -> None:
    world = World()
    world.do(world.open())
    world.refuse(expected, steps(world))


# --- the same, disputed ---


@pytest.mark.parametrize(
    ("expected", "steps"),
    [
        attack("a release", Code.WRONG_STATE, lambda w: w.release(1)),
        attack("a second dispute", Code.WRONG_STATE, lambda w: w.dispute(by=w.provider)),
        attack(
            "a provider relinquishing to escape slashing",
            Code.WRONG_STATE,
            lambda w: w.relinquish(),
        ),
        attack(
            "a refund before the arbiter's time is over",
            Code.WRONG_TIME,
            lambda w: w.refund(),
        ),
        attack(
            "slashing by somebody else",
            Code.NOT_AUTHORIZED,
            lambda w: w.slash(1, by=w.mallory),
        ),
        attack(
            "slashing without the arbiter's signature",
            Code.MISSING_SIGNER,
            lambda w: with_account(w.slash(1), 0, signer=False),
        ),
        attack("slashing nothing", Code.WRONG_AMOUNT, lambda w: w.slash(0)),
        attack(
            "slashing above the cap",
            Code.OVER_LIMIT,
            lambda w: w.slash(STAKE // 2 + 1),
        ),
        attack(
            "resolving by somebody else",
            Code.NOT_AUTHORIZED,
            lambda w: w.resolve(1, by=w.mallory),
        ),
        attack(
            "resolving by a party",
            Code.NOT_AUTHORIZED,
            lambda w: w.resolve(1, by=w.provider),
        ),
        attack(
            "an arbiter paying more than the escrow",
            Code.WRONG_AMOUNT,
            lambda w: w.resolve(100 * USDC + 1),
        ),
        attack(
            "an arbiter keeping the rent",
            Code.ACCOUNT_COUNT,
            lambda w: w.resolve(1, rent_payer=w.arbiter),
        ),
    ],
)
def test_a_disputed_escrow_refuses(expected: Code, steps: Attack) -> None:
    world = World()
    world.do(world.open())
    world.do(world.dispute())
    world.set_time(NOW + 3_600 + TERMS.grace_window_s + TERMS.arbitration_window_s)
    world.refuse(expected, steps(world))
