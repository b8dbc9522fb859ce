"""What each instruction costs, held against the table in the program's README."""

import re
from pathlib import Path

import pytest

from contracts.program_costs import Measured, measure_costs
from contracts.program_world import World
from neurogrid_contracts.instructions import Tag

README = (Path(__file__).parents[2] / "contracts-client" / "program" / "README.md").read_text()
STATED = {
    step: int(units.replace(",", ""))
    for step, units in re.findall(r"^\| ([a-z_, ]+) \| ([\d,]+) \|$", README, re.MULTILINE)
}


@pytest.fixture(scope="module")
def measured() -> Measured:
    return measure_costs()


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
