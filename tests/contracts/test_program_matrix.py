"""Every account of every instruction: exchanged, unsigned, read-only. Each must be refused.

The attacks are made from the IDL, so an instruction or account that is added there is attacked here
without anybody writing a test. One world per instruction stands ready for it; a refusal changes
nothing (which is asserted), so all attacks on that instruction share the world.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from solders.instruction import Instruction
from solders.keypair import Keypair
from solders.pubkey import Pubkey

from contracts.program_parties import NOW, USDC, job_id, with_account, with_data
from contracts.program_world import World
from neurogrid_contracts import instructions
from neurogrid_contracts.errors import ProgramErrorCode as Code

IDL: dict[str, Any] = json.loads(
    (Path(__file__).parents[2] / "contracts-client" / "program" / "idl.json").read_text()
)
OFFER = job_id("offer")
STATE_ACCOUNTS = ("config", "provider", "client", "escrow")
# What an instruction creates has one right address, and is nothing yet.
CREATED = {
    "init_config": {"config"},
    "register_provider": {"provider", "vault"},
    "open_client": {"client", "vault"},
    "open_escrow": {"escrow"},
}


# The refusals that differ from what an account of that name usually meets. ANY: the runtime or the
# token program refuses before this program has to. LEGAL: the change makes another instruction, of
# which nothing is wrong.
ANY, LEGAL = "any", "legal"
Refusals = dict[tuple[str, str], Code | str]

UNSIGNED: Refusals = {
    # Without the provider it is a client's final release, which starts the challenge window.
    ("release", "provider_owner"): LEGAL,
    ("claim_voucher", "client_owner"): Code.WRONG_STATE,
    ("relinquish", "client_owner"): Code.WRONG_STATE,
}
READ_ONLY: Refusals = {
    ("init_config", "creator"): ANY,
    ("register_provider", "owner"): ANY,
    ("open_client", "owner"): ANY,
    ("open_escrow", "authority"): ANY,
    ("stake", "vault"): ANY,
    ("stake", "source"): ANY,
    ("deposit", "vault"): ANY,
    ("deposit", "source"): ANY,
    ("withdraw", "vault"): ANY,
    ("withdraw", "destination"): ANY,
    ("withdraw_stake", "vault"): ANY,
    ("withdraw_stake", "destination"): ANY,
    ("slash", "provider_vault"): ANY,
    ("slash", "client_vault"): ANY,
    ("close_provider", "vault"): ANY,
    ("close_provider", "destination"): ANY,
    ("close_client", "vault"): ANY,
    ("close_client", "destination"): ANY,
}
# Mallory in a signer's place, with her signature.
IMPOSTOR: Refusals = {
    ("init_config", "creator"): Code.WRONG_ADDRESS,
    ("register_provider", "owner"): Code.WRONG_ADDRESS,
    ("open_client", "owner"): Code.WRONG_ADDRESS,
    ("stake", "funder"): ANY,
    ("deposit", "funder"): ANY,
    ("release", "provider_owner"): LEGAL,
    ("claim_voucher", "provider_owner"): Code.MISSING_SIGNER,
    ("claim_voucher", "client_owner"): Code.WRONG_STATE,
    ("relinquish", "client_owner"): Code.WRONG_STATE,
}
# The right bytes at an address that the program never wrote to.
FORGED: dict[str, Code] = {
    **dict.fromkeys(STATE_ACCOUNTS, Code.WRONG_OWNER),
    "mint": Code.WRONG_MINT,
    "treasury": Code.WRONG_LINK,
    "vault": Code.WRONG_LINK,
    "client_vault": Code.WRONG_LINK,
    "provider_vault": Code.WRONG_LINK,
    "payout": Code.BAD_TOKEN_ACCOUNT,
    "source": Code.BAD_TOKEN_ACCOUNT,
    "destination": Code.BAD_TOKEN_ACCOUNT,
    "system_program": Code.WRONG_PROGRAM,
    "token_program": Code.WRONG_PROGRAM,
    "instructions_sysvar": Code.WRONG_SYSVAR,
    "rent_payer": Code.ACCOUNT_COUNT,
}
FORGED_IN: Refusals = {
    ("init_config", "treasury"): Code.BAD_TOKEN_ACCOUNT,
    ("propose_terms", "treasury"): Code.BAD_TOKEN_ACCOUNT,
    ("resolve", "provider_vault"): Code.ACCOUNT_COUNT,
    ("refund", "rent_payer"): Code.WRONG_LINK,
}
# A real account of the right type, but of other parties, another market or currency.
FOREIGN: Refusals = {
    ("register_provider", "config"): Code.WRONG_ADDRESS,
    ("open_client", "config"): Code.WRONG_ADDRESS,
    **dict.fromkeys(
        [
            (name, "config")
            for name in ("set_paused", "propose_terms", "cancel_terms", "propose_admin")
        ],
        Code.NOT_AUTHORIZED,
    ),
    # In the other market nothing is proposed.
    ("apply_terms", "config"): Code.WRONG_STATE,
    ("accept_admin", "config"): Code.WRONG_STATE,
    ("rebond", "provider"): Code.NOT_AUTHORIZED,
    ("close_provider", "provider"): Code.NOT_AUTHORIZED,
    ("close_client", "client"): Code.NOT_AUTHORIZED,
    ("request_unstake", "provider"): Code.NOT_AUTHORIZED,
    ("withdraw_stake", "provider"): Code.NOT_AUTHORIZED,
    ("withdraw", "client"): Code.NOT_AUTHORIZED,
    ("set_operator", "client"): Code.NOT_AUTHORIZED,
    ("open_escrow", "client"): Code.NOT_AUTHORIZED,
    ("open_escrow", "provider"): LEGAL,
    # Of the same provider, but accepted already.
    ("accept_escrow", "escrow"): Code.WRONG_STATE,
    ("init_config", "mint"): Code.WRONG_MINT,
    ("init_config", "treasury"): Code.WRONG_MINT,
    ("propose_terms", "treasury"): Code.WRONG_MINT,
    ("close_provider", "destination"): Code.WRONG_MINT,
    ("close_client", "destination"): Code.WRONG_MINT,
    ("resolve", "provider_vault"): Code.ACCOUNT_COUNT,
    ("register_provider", "mint"): Code.WRONG_MINT,
    ("open_client", "mint"): Code.WRONG_MINT,
    ("stake", "source"): Code.WRONG_MINT,
    ("deposit", "source"): Code.WRONG_MINT,
    ("withdraw", "destination"): Code.WRONG_MINT,
    ("withdraw_stake", "destination"): Code.WRONG_MINT,
    ("release", "payout"): Code.WRONG_MINT,
    ("claim_voucher", "payout"): Code.WRONG_MINT,
    ("resolve", "payout"): Code.WRONG_MINT,
}


@dataclass
class Scene:
    """A world in which ``instruction`` would succeed, and real accounts of other parties."""

    world: World
    before: tuple[Instruction, ...]  # in the same transaction: a voucher's proof
    instruction: Instruction
    foreign: dict[str, Pubkey]
    other_providers_escrow: Pubkey


def at_once(world: World) -> None:
    """The instruction needs no preparation."""


def disputed(world: World) -> None:
    world.do(world.dispute())


def disputed_by_the_provider(world: World) -> None:
    world.do(world.dispute(by=world.provider))


def unbonding(world: World) -> None:
    world.do(world.request_unstake(USDC))


def late(world: World) -> None:
    unbonding(world)
    world.set_time(NOW + 8 * 86_400)


def offered(world: World) -> None:
    world.do(world.open(1, job=OFFER, by=world.operator, offered=True))


def terms_proposed(world: World) -> None:
    world.do(world.propose_terms())
    world.set_time(NOW + world.terms.unbonding_window_s)


def admin_proposed(world: World) -> None:
    world.do(world.propose_admin(world.payout_owner))


def idle_provider(world: World) -> None:
    """A provider with nothing but a donation to its vault."""
    world.provider = world.payout_owner
    world.do(world.register_provider())
    world.donate(world.provider_account().vault, 1)


def idle_client(world: World) -> None:
    """A client with nothing but a donation to its vault, a slot later."""
    world.client = world.payout_owner
    world.do(world.open_client())
    world.donate(world.client_account().vault, 1)
    world.set_time(NOW + 1)


# What makes each instruction possible in a market with an escrow that the operator opened (and paid
# the rent of, so that the rent payer is nobody who signs), and the instruction.
READY: dict[str, tuple[Callable[[World], None], Callable[[World], Instruction]]] = {
    "init_config": (at_once, lambda w: w.init_config()),
    "propose_terms": (at_once, lambda w: w.propose_terms()),
    "cancel_terms": (terms_proposed, lambda w: w.cancel_terms()),
    "apply_terms": (terms_proposed, lambda w: w.apply_terms()),
    "propose_admin": (at_once, lambda w: w.propose_admin(w.payout_owner)),
    "accept_admin": (admin_proposed, lambda w: w.accept_admin(w.payout_owner)),
    "rebond": (unbonding, lambda w: w.rebond(1)),
    "close_provider": (idle_provider, lambda w: w.close_provider()),
    "close_client": (idle_client, lambda w: w.close_client()),
    "accept_escrow": (offered, lambda w: w.accept(job=OFFER)),
    "cancel_escrow": (offered, lambda w: w.cancel(job=OFFER, rent_payer=w.operator)),
    "top_up": (at_once, lambda w: w.top_up(1)),
    "extend": (at_once, lambda w: w.extend(NOW + 7_200)),
    "set_paused": (at_once, lambda w: w.set_paused()),
    "register_provider": (
        at_once,
        lambda w: instructions.register_provider(
            w.deployment, owner=w.payout_owner.pubkey(), payout_owner=w.payout_owner.pubkey()
        ),
    ),
    "open_client": (
        at_once,
        lambda w: instructions.open_client(w.deployment, owner=w.payout_owner.pubkey()),
    ),
    "stake": (at_once, lambda w: w.stake(1)),
    "request_unstake": (at_once, lambda w: w.request_unstake(1)),
    "withdraw_stake": (late, lambda w: w.withdraw_stake()),
    "slash": (disputed, lambda w: w.slash(1)),
    "deposit": (at_once, lambda w: w.deposit(1)),
    "withdraw": (at_once, lambda w: w.withdraw(1)),
    "set_operator": (at_once, lambda w: w.set_operator()),
    "open_escrow": (at_once, lambda w: w.open(1, job=job_id("next"))),
    "release": (at_once, lambda w: w.release(1, final=True, close_to=w.operator)),
    "claim_voucher": (disputed, lambda w: w.claim(1, close_to=w.operator, client_cosigns=True)),
    "refund": (late, lambda w: w.refund(rent_payer=w.operator)),
    "dispute": (at_once, lambda w: w.dispute()),
    "resolve": (
        disputed_by_the_provider,
        lambda w: w.resolve(1, rent_payer=w.operator, opener_was_right=False),
    ),
    "relinquish": (disputed, lambda w: w.relinquish(rent_payer=w.operator, client_cosigns=True)),
}


def build_scene(name: str) -> Scene:
    prepare, build = READY[name]
    if name == "init_config":
        world = World(ready=False)
        foreign = {"treasury": world.create_other_currency(), "mint": world.other_mint}
        return Scene(world, (), build(world), foreign, world.treasury)
    world = World()
    deployment = world.deployment
    client, provider = world.another_client(), world.another_provider()
    world.do(world.open(by=world.operator))
    world.do(open_between(world, client, world.provider))
    world.do(open_between(world, world.client, provider))
    other_currency = world.create_other_currency()
    client_account = deployment.client(client.pubkey())
    provider_account = deployment.provider(provider.pubkey())
    foreign = {
        "config": world.second_market().config,
        "client": client_account,
        "provider": provider_account,
        "escrow": deployment.escrow(client.pubkey(), job_id("other")),
        "client_vault": deployment.vault(client_account),
        "provider_vault": deployment.vault(provider_account),
        "vault": deployment.vault(
            provider_account if name in ("stake", "withdraw_stake") else client_account
        ),
        "mint": world.other_mint,
        "source": other_currency,
        "destination": other_currency,
        "payout": world.give_usdc(world.payout_owner, 0, mint=world.other_mint),
        "treasury": other_currency if name == "propose_terms" else world.usdc(world.mallory),
    }
    third = deployment.escrow(world.client.pubkey(), job_id("other"))
    prepare(world)
    before = (world.proof(1),) if name == "claim_voucher" else ()
    return Scene(world, before, build(world), foreign, third)


scene = cache(build_scene)


def open_between(world: World, client: Keypair, provider: Keypair) -> Instruction:
    return instructions.open_escrow(
        world.deployment,
        authority=client.pubkey(),
        client_owner=client.pubkey(),
        provider_owner=provider.pubkey(),
        job_id=job_id("other"),
        max_micro_usdc=USDC,
        deadline_unix_s=NOW + 3_600,
        voucher_signer=world.session.pubkey(),
    )


def forged(ready: Scene, index: int) -> Pubkey:
    """A copy of the account, at an address of the attacker's and owned by no program."""
    original = ready.world.svm.get_account(ready.instruction.accounts[index].pubkey)
    return ready.world.forge(b"" if original is None else bytes(original.data))


# --- the attacks ---

Attack = Callable[[Scene], Instruction]


def attacks() -> Iterator[tuple[str, str, Code | str, Attack]]:
    """(instruction, what is done to it, expected refusal, the attack)."""
    for entry in IDL["instructions"]:
        name = entry["name"]
        created = CREATED.get(name, set())
        # The members of a multisig arbiter are attacked in test_program_arbiter.py.
        optional = entry.get("optional_accounts", [])
        accounts = entry["accounts"] + [one for one in optional if one["name"] != "member"]
        for index, account in enumerate(accounts):
            for what, expected, attack in attacks_on(name, index, account, created):
                yield name, f"{account['name']} {what}", expected, attack
        fixed = len(entry["accounts"])
        yield name, "without its last account", Code.ACCOUNT_COUNT, first_accounts(fixed - 1)
        yield name, "with too short arguments", Code.INSTRUCTION_DATA, shorter
        yield name, "with too long arguments", Code.INSTRUCTION_DATA, longer


def attacks_on(
    name: str, index: int, account: dict[str, Any], created: set[str]
) -> Iterator[tuple[str, Code | str, Attack]]:
    of, place = account["name"], (name, account["name"])
    if account["signer"]:
        yield "unsigned", UNSIGNED.get(place, Code.MISSING_SIGNER), unsigned(index)
        yield "is an impostor", IMPOSTOR.get(place, Code.NOT_AUTHORIZED), impostor(index)
    else:
        code = FORGED_IN.get(place, FORGED.get(of, ANY))
        yield "forged", Code.WRONG_ADDRESS if of in created else code, forgery(index)
    if account["writable"]:
        yield "read-only", READ_ONLY.get(place, Code.NOT_WRITABLE), read_only(index)
    if of in created:
        return
    if of in (*STATE_ACCOUNTS, "mint", "source", "destination", "payout", "treasury") or (
        of.endswith("vault")
    ):
        yield "foreign", FOREIGN.get(place, Code.WRONG_LINK), foreign(index, of)
    if of in STATE_ACCOUNTS:
        other = "provider" if of == "client" else "client"
        yield f"is a {other}", Code.WRONG_ACCOUNT_TYPE, foreign(index, other)
    if of == "escrow":
        yield "of another provider", Code.WRONG_LINK, third_escrow(index)


def unsigned(index: int) -> Attack:
    return lambda ready: with_account(ready.instruction, index, signer=False)


def impostor(index: int) -> Attack:
    return lambda ready: with_account(ready.instruction, index, ready.world.mallory.pubkey())


def read_only(index: int) -> Attack:
    return lambda ready: with_account(ready.instruction, index, writable=False)


def forgery(index: int) -> Attack:
    return lambda ready: with_account(ready.instruction, index, forged(ready, index))


def foreign(index: int, account: str) -> Attack:
    return lambda ready: with_account(ready.instruction, index, ready.foreign[account])


def third_escrow(index: int) -> Attack:
    return lambda ready: with_account(ready.instruction, index, ready.other_providers_escrow)


def first_accounts(count: int) -> Attack:
    return lambda ready: Instruction(
        ready.instruction.program_id,
        bytes(ready.instruction.data),
        list(ready.instruction.accounts)[:count],
    )


def shorter(ready: Scene) -> Instruction:
    return with_data(ready.instruction, bytes(ready.instruction.data)[:-1])


def longer(ready: Scene) -> Instruction:
    return with_data(ready.instruction, bytes(ready.instruction.data) + b"\0")


ATTACKS = [attack for attack in attacks() if attack[2] is not LEGAL]


@pytest.mark.parametrize(
    ("name", "expected", "attack"),
    [
        pytest.param(name, expected, attack, id=f"{name}: {what}")
        for name, what, expected, attack in ATTACKS
    ],
)
def test_the_program_refuses(name: str, expected: Code | str, attack: Attack) -> None:
    ready = scene(name)
    steps = (*ready.before, attack(ready))
    if isinstance(expected, Code):
        ready.world.refuse(expected, *steps)
    else:
        ready.world.fail(*steps)


@pytest.mark.parametrize("name", READY)
def test_the_untouched_instruction_succeeds(name: str) -> None:
    """Or the refusals above would prove nothing."""
    ready = build_scene(name)
    ready.world.do(*ready.before, ready.instruction)


def test_the_matrix_is_complete() -> None:
    assert set(READY) == {entry["name"] for entry in IDL["instructions"]}
    assert len(ATTACKS) >= 550
