"""What each instruction costs, held against the table in the program's README."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from contracts.program_parties import DEPOSIT, NOW, STAKE, USDC
from contracts.program_world import World
from neurogrid_contracts.instructions import Tag

README = (Path(__file__).parents[2] / "contracts-client" / "program" / "README.md").read_text()
STATED = {
    step: int(units.replace(",", ""))
    for step, units in re.findall(r"^\| ([a-z_, ]+) \| ([\d,]+) \|$", README, re.MULTILINE)
}


Measured = dict[str, int]


def create_market(world: World, measured: Measured) -> None:
    measured["init_config"] = world.do(world.init_config()).compute_units
    measured["register_provider"] = world.do(world.register_provider()).compute_units
    measured["stake"] = world.do(world.stake(STAKE)).compute_units
    measured["open_client"] = world.do(world.open_client()).compute_units
    measured["deposit"] = world.do(world.deposit(DEPOSIT)).compute_units
    measured["withdraw"] = world.do(world.withdraw(1)).compute_units
    measured["set_operator"] = world.do(world.set_operator()).compute_units


def pay(world: World, measured: Measured) -> None:
    measured["open_escrow"] = world.do(world.open()).compute_units
    measured["top_up"] = world.do(world.top_up(USDC)).compute_units
    measured["extend"] = world.do(world.extend(NOW + 7_200)).compute_units
    measured["release"] = world.do(world.release(USDC)).compute_units
    measured["claim_voucher"] = world.do(world.proof(2 * USDC), world.claim(2 * USDC)).compute_units
    measured["claim_voucher, closing"] = world.do(
        world.proof(3 * USDC), world.claim(3 * USDC, close_to=world.client)
    ).compute_units
    world.do(world.open())
    measured["release, closing"] = world.do(
        world.release(USDC, final=True, close_to=world.client)
    ).compute_units
    world.do(world.open(offered=True))
    measured["cancel_escrow"] = world.do(world.cancel()).compute_units
    world.do(world.open(offered=True))
    measured["accept_escrow"] = world.do(world.accept()).compute_units
    measured["relinquish"] = world.do(world.relinquish()).compute_units


def quarrel(world: World, measured: Measured) -> None:
    world.do(world.open())
    measured["dispute"] = world.do(world.dispute()).compute_units
    measured["slash"] = world.do(world.slash(USDC)).compute_units
    measured["resolve"] = world.do(world.resolve(USDC)).compute_units
    world.do(world.open())
    world.do(world.dispute())
    measured["resolve, opener wrong"] = world.do(
        world.resolve(USDC, opener_was_right=False)
    ).compute_units
    world.do(world.open())
    world.set_time(world.escrow_account().claim_until_unix_s + 1)
    measured["refund"] = world.do(world.refund()).compute_units


def change(world: World, measured: Measured) -> None:
    measured["propose_terms"] = world.do(world.propose_terms()).compute_units
    measured["cancel_terms"] = world.do(world.cancel_terms()).compute_units
    world.do(world.propose_terms())
    measured["request_unstake"] = world.do(world.request_unstake(USDC)).compute_units
    measured["rebond"] = world.do(world.rebond(1)).compute_units
    world.set_time(NOW + 30 * 86_400)
    measured["apply_terms"] = world.do(world.apply_terms()).compute_units
    measured["withdraw_stake"] = world.do(world.withdraw_stake()).compute_units
    measured["set_paused"] = world.do(world.set_paused()).compute_units
    measured["propose_admin"] = world.do(world.propose_admin(world.mallory)).compute_units
    measured["accept_admin"] = world.do(world.accept_admin(world.mallory)).compute_units


def leave(world: World, measured: Measured) -> None:
    world.do(world.withdraw(world.client_account().balance_micro_usdc))
    measured["close_client"] = world.do(world.close_client()).compute_units
    world.do(world.request_unstake(world.provider_account().staked_micro_usdc))
    world.set_time(world.provider_account().unbonding_until_unix_s)
    world.do(world.withdraw_stake())
    measured["close_provider"] = world.do(world.close_provider()).compute_units


@pytest.fixture(scope="module")
def measured() -> Measured:
    world = World(ready=False)
    units: Measured = {}
    parts: list[Callable[[World, Measured], None]] = [create_market, pay, quarrel, change, leave]
    for part in parts:
        part(world, units)
    return units


def test_the_table_lists_every_step(measured: Measured) -> None:
    assert set(STATED) == set(measured)
    assert {name for name in measured if ", " not in name} == {tag.name.lower() for tag in Tag}


@pytest.mark.parametrize("step", sorted(STATED))
def test_a_step_costs_what_the_table_says(measured: Measured, step: str) -> None:
    assert 0.9 * STATED[step] <= measured[step] <= STATED[step]


def test_the_stated_rents_are_the_chains() -> None:
    world = World()
    world.do(world.open())
    client, provider = world.client_account(), world.provider_account()
    for address in (
        world.escrow(),
        world.deployment.client(client.owner),
        world.deployment.provider(provider.owner),
        client.vault,
        world.deployment.config,
    ):
        assert f"{world.lamports(address):,}" in README


def test_twenty_thousand_payments_settle_in_one_transaction() -> None:
    """Each voucher replaces the one before, so only the last is ever shown to the chain."""
    world = World()
    world.do(world.open())
    last = 0
    for payment in range(20_000):
        last = payment + 1
    settled = world.do(world.proof(last), world.claim(last))
    assert world.escrow_account().released_micro_usdc == 20_000
    assert settled.compute_units < 4_000
    assert settled.size_bytes <= 701
    assert settled.fee_lamports == 10_000
