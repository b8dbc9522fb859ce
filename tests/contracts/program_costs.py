"""What each of the program's instructions costs, on the real virtual machine."""

from collections.abc import Callable

from contracts.program_parties import DEPOSIT, NOW, STAKE, USDC
from contracts.program_world import World

Measured = dict[str, int]
"""Compute units by step."""


def measure_costs() -> Measured:
    """Every instruction once, in one market's life."""
    world = World(ready=False)
    units: Measured = {}
    parts: list[Callable[[World, Measured], None]] = [_create, _pay, _quarrel, _change, _leave]
    for part in parts:
        part(world, units)
    return units


def _create(world: World, measured: Measured) -> None:
    measured["init_config"] = world.do(world.init_config()).compute_units
    measured["register_provider"] = world.do(world.register_provider()).compute_units
    measured["stake"] = world.do(world.stake(STAKE)).compute_units
    measured["open_client"] = world.do(world.open_client()).compute_units
    measured["deposit"] = world.do(world.deposit(DEPOSIT)).compute_units
    measured["withdraw"] = world.do(world.withdraw(1)).compute_units
    measured["set_operator"] = world.do(world.set_operator()).compute_units


def _pay(world: World, measured: Measured) -> None:
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


def _quarrel(world: World, measured: Measured) -> None:
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


def _change(world: World, measured: Measured) -> None:
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


def _leave(world: World, measured: Measured) -> None:
    world.do(world.withdraw(world.client_account().balance_micro_usdc))
    measured["close_client"] = world.do(world.close_client()).compute_units
    world.do(world.request_unstake(world.provider_account().staked_micro_usdc))
    world.set_time(world.provider_account().unbonding_until_unix_s)
    world.do(world.withdraw_stake())
    measured["close_provider"] = world.do(world.close_provider()).compute_units
