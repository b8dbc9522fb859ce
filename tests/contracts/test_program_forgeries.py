"""Attacks that pass other accounts than the program expects: forged, foreign, repeated, swapped."""

from collections.abc import Callable
from hashlib import sha256

import pytest
from solders.instruction import AccountMeta, Instruction
from solders.pubkey import Pubkey

from contracts.program_parties import USDC, with_account, with_data
from contracts.program_world import World
from neurogrid_contracts import instructions
from neurogrid_contracts.errors import ProgramErrorCode as Code
from neurogrid_contracts.instructions import SYSTEM_PROGRAM_ID, TOKEN_PROGRAM_ID, Tag

Attack = Callable[[World], Instruction]

# Positions in every paying instruction (settlement.h).
CONFIG, CLIENT, PROVIDER, ESCROW, CLIENT_VAULT, PAYOUT, TREASURY, TOKEN = range(1, 9)


@pytest.fixture
def world() -> World:
    """An open escrow of 100 USDC."""
    world = World()
    world.do(world.open())
    return world


def attack(name: str, expected: Code, steps: Attack) -> object:
    return pytest.param(expected, steps, id=name)


def provider_vault(world: World) -> Pubkey:
    return world.deployment.vault(world.deployment.provider(world.provider.pubkey()))


def release_to_the_right_wallet_in_another_currency(world: World) -> Instruction:
    world.create_other_currency()
    account = world.give_usdc(world.payout_owner, 0, mint=world.other_mint)
    return world.release(1, payout=account)


def release_from_an_escrow_of_a_later_version(world: World) -> Instruction:
    data = bytearray(account_data(world, world.escrow()))
    data[1] += 1
    world.replace_data(world.escrow(), bytes(data))
    return world.release(1)


def account_data(world: World, address: Pubkey) -> bytes:
    account = world.svm.get_account(address)
    assert account is not None
    return bytes(account.data)


def client_address(world: World) -> Pubkey:
    return world.deployment.client(world.client.pubkey())


def without_last_account(instruction: Instruction) -> Instruction:
    return Instruction(
        instruction.program_id, bytes(instruction.data), list(instruction.accounts)[:-1]
    )


@pytest.mark.parametrize(
    ("expected", "steps"),
    [
        attack(
            "paying to a stranger's token account",
            Code.BAD_TOKEN_ACCOUNT,
            lambda w: w.release(1, payout=w.usdc(w.mallory)),
        ),
        attack(
            "paying to the provider's own wallet instead of its payout wallet",
            Code.BAD_TOKEN_ACCOUNT,
            lambda w: w.release(1, payout=w.usdc(w.provider)),
        ),
        attack(
            "paying to something that is no token account",
            Code.BAD_TOKEN_ACCOUNT,
            lambda w: w.release(1, payout=w.payout_owner.pubkey()),
        ),
        attack(
            "paying to the mint",
            Code.BAD_TOKEN_ACCOUNT,
            lambda w: w.release(1, payout=w.deployment.usdc_mint),
        ),
        attack(
            "paying the fee to a stranger",
            Code.WRONG_LINK,
            lambda w: w.release(1, treasury=w.usdc(w.mallory)),
        ),
        attack(
            "paying in another currency",
            Code.WRONG_MINT,
            release_to_the_right_wallet_in_another_currency,
        ),
        attack(
            "depositing another currency",
            Code.WRONG_MINT,
            lambda w: with_account(w.deposit(1), 4, w.create_other_currency()),
        ),
        attack(
            "staking another currency",
            Code.WRONG_MINT,
            lambda w: with_account(w.stake(1), 4, w.create_other_currency()),
        ),
        attack(
            "withdrawing into another currency",
            Code.WRONG_MINT,
            lambda w: with_account(w.withdraw(1), 4, w.create_other_currency()),
        ),
        attack(
            "withdrawing from the provider's vault",
            Code.WRONG_LINK,
            lambda w: with_account(w.withdraw(1), 3, provider_vault(w)),
        ),
        attack(
            "releasing from the provider's vault",
            Code.WRONG_LINK,
            lambda w: with_account(w.release(1), CLIENT_VAULT, provider_vault(w)),
        ),
        attack(
            "staking into a stranger's account",
            Code.WRONG_LINK,
            lambda w: with_account(w.stake(1), 3, w.usdc(w.mallory)),
        ),
        attack(
            "depositing into a stranger's account",
            Code.WRONG_LINK,
            lambda w: with_account(w.deposit(1), 3, w.usdc(w.mallory)),
        ),
        attack(
            "releasing from another client's deposit",
            Code.WRONG_LINK,
            lambda w: with_account(
                w.release(1), CLIENT, w.deployment.client(w.another_client().pubkey())
            ),
        ),
        attack(
            "refunding to another client",
            Code.WRONG_LINK,
            lambda w: with_account(w.refund(), 1, w.deployment.client(w.another_client().pubkey())),
        ),
        attack(
            "disputing in another client's name",
            Code.WRONG_LINK,
            lambda w: with_account(
                w.dispute(), 2, w.deployment.client(w.another_client().pubkey())
            ),
        ),
        attack(
            "a token program of the attacker's",
            Code.WRONG_PROGRAM,
            lambda w: with_account(w.release(1), TOKEN, w.deployment.program_id),
        ),
        attack(
            "Token-2022 in place of SPL Token",
            Code.WRONG_PROGRAM,
            lambda w: with_account(
                w.deposit(1),
                5,
                Pubkey.from_string("TokenzQdBNbLqP5VEhdkAS6EPFLC1PHnBqCXEpPxuEb"),
            ),
        ),
        attack(
            "a system program of the attacker's",
            Code.WRONG_PROGRAM,
            lambda w: with_account(w.open(), 5, TOKEN_PROGRAM_ID),
        ),
        attack(
            "a forged config",
            Code.WRONG_OWNER,
            lambda w: with_account(w.dispute(), 1, w.forge(account_data(w, w.deployment.config))),
        ),
        attack(
            "a forged escrow",
            Code.WRONG_OWNER,
            lambda w: with_account(w.release(1), ESCROW, w.forge(account_data(w, w.escrow()))),
        ),
        attack(
            "a forged client",
            Code.WRONG_OWNER,
            lambda w: with_account(w.withdraw(1), 2, w.forge(account_data(w, client_address(w)))),
        ),
        attack(
            "a forged token account as source",
            Code.BAD_TOKEN_ACCOUNT,
            lambda w: with_account(w.deposit(1), 4, w.forge(account_data(w, w.usdc(w.client)))),
        ),
        attack(
            "a multisig of the token program as source, which is longer than a token account",
            Code.BAD_TOKEN_ACCOUNT,
            lambda w: with_account(
                w.deposit(1),
                4,
                w.forge(account_data(w, w.usdc(w.client)).ljust(355, b"\0"), TOKEN_PROGRAM_ID),
            ),
        ),
        attack(
            "a forged mint",
            Code.WRONG_MINT,
            lambda w: with_account(
                instructions.open_client(w.deployment, owner=w.mallory.pubkey()),
                4,
                w.forge(account_data(w, w.deployment.usdc_mint)),
            ),
        ),
        attack(
            "a provider in place of the config",
            Code.WRONG_ACCOUNT_TYPE,
            lambda w: with_account(w.withdraw(1), 1, w.deployment.provider(w.provider.pubkey())),
        ),
        attack(
            "a provider in place of the client, which has the same size",
            Code.WRONG_ACCOUNT_TYPE,
            lambda w: with_account(
                with_account(w.withdraw(1), 2, w.deployment.provider(w.provider.pubkey())),
                3,
                provider_vault(w),
            ),
        ),
        attack(
            "an account of a later version",
            Code.WRONG_ACCOUNT_TYPE,
            release_from_an_escrow_of_a_later_version,
        ),
        attack(
            "an escrow that must change, passed read-only",
            Code.NOT_WRITABLE,
            lambda w: with_account(w.release(1), ESCROW, writable=False),
        ),
        attack(
            "a vault passed read-only",
            Code.NOT_WRITABLE,
            lambda w: with_account(w.release(1), CLIENT_VAULT, writable=False),
        ),
        attack(
            "a config that must change, passed read-only",
            Code.NOT_WRITABLE,
            lambda w: with_account(w.set_paused(), 1, writable=False),
        ),
        attack(
            "one account twice",
            Code.DUPLICATE_ACCOUNT,
            lambda w: with_account(w.release(1), TREASURY, w.payout),
        ),
        attack(
            "a vault paying itself",
            Code.DUPLICATE_ACCOUNT,
            lambda w: with_account(w.withdraw(1), 4, w.deployment.vault(client_address(w))),
        ),
        attack(
            "an account too few",
            Code.ACCOUNT_COUNT,
            lambda w: without_last_account(w.deposit(1)),
        ),
        attack(
            "twenty-five accounts",
            Code.ACCOUNT_COUNT,
            lambda w: Instruction(
                w.deployment.program_id,
                bytes(w.deposit(1).data),
                [
                    *w.deposit(1).accounts,
                    *(AccountMeta(Pubkey([n] * 32), False, False) for n in range(230, 249)),
                ],
            ),
        ),
        attack(
            "registering a vault at another address",
            Code.WRONG_ADDRESS,
            lambda w: with_account(
                instructions.open_client(w.deployment, owner=w.mallory.pubkey()),
                3,
                w.arbiter.pubkey(),
            ),
        ),
        attack(
            "opening an escrow at another address",
            Code.WRONG_ADDRESS,
            lambda w: with_account(
                w.open(job=bytes(32)), 4, w.deployment.escrow(w.mallory.pubkey(), bytes(32))
            ),
        ),
    ],
)
def test_the_program_is_not_fooled_by(world: World, expected: Code, steps: Attack) -> None:
    instruction = steps(world)
    world.refuse(expected, instruction)


def test_a_frozen_payout_account_is_refused_before_any_money_moves(world: World) -> None:
    frozen = bytearray(account_data(world, world.payout))
    frozen[108] = 2
    world.replace_data(world.payout, bytes(frozen))
    world.refuse(Code.BAD_TOKEN_ACCOUNT, world.release(1))


def test_accounts_of_two_markets_do_not_mix(world: World) -> None:
    """Mallory runs a market of her own, as admin and arbiter, and points it at our escrow."""
    hers = world.second_market()
    world.refuse(Code.WRONG_LINK, with_account(world.dispute(), 1, hers.config))
    world.do(world.dispute())
    world.refuse(
        Code.WRONG_LINK,
        with_account(world.slash(USDC, by=world.mallory), 1, hers.config),
    )
    world.refuse(
        Code.WRONG_LINK,
        with_account(world.resolve(USDC, by=world.mallory), CONFIG, hers.config),
    )


def test_a_canonical_bump_is_the_only_one(world: World) -> None:
    """Another bump gives another valid program address, which would be a second client account."""
    seeds = [b"client", bytes(world.deployment.config), bytes(world.mallory.pubkey())]
    canonical, bump = Pubkey.find_program_address(seeds, world.deployment.program_id)
    program = bytes(world.deployment.program_id)
    derived = (
        Pubkey(
            sha256(b"".join(seeds) + bytes([lower]) + program + b"ProgramDerivedAddress").digest()
        )
        for lower in range(bump - 1, -1, -1)
    )
    other = next(address for address in derived if not address.is_on_curve())
    assert other != canonical
    opening = instructions.open_client(world.deployment, owner=world.mallory.pubkey())
    world.refuse(Code.WRONG_ADDRESS, with_account(opening, 2, other))


def test_data_of_another_instruction_does_not_pass(world: World) -> None:
    """Every tag with the accounts and arguments of a release: none but release gets anywhere."""
    release = world.release(1)
    for tag in Tag:
        if tag == release.data[0]:
            continue
        world.fail(with_data(release, bytes([tag]) + bytes(release.data)[1:]))


def test_an_unfunded_account_cannot_be_a_party(world: World) -> None:
    assert world.svm.get_account(world.deployment.provider(world.mallory.pubkey())) is None
    opening = with_account(
        world.open(job=bytes(32)), 3, world.deployment.provider(world.mallory.pubkey())
    )
    world.refuse(Code.WRONG_OWNER, opening)


def test_the_system_program_cannot_be_a_treasury() -> None:
    world = World(ready=False)
    world.refuse(
        Code.BAD_TOKEN_ACCOUNT, with_account(world.init_config(), 3, world.mallory.pubkey())
    )
    world.refuse(Code.WRONG_MINT, with_account(world.init_config(), 2, world.mallory.pubkey()))
    world.refuse(Code.DUPLICATE_ACCOUNT, with_account(world.init_config(), 3, SYSTEM_PROGRAM_ID))
