"""Compute units of the escrow program, beside the SPL Token transfer that moves the same money."""

from contracts.program_costs import measure_costs
from contracts.program_parties import USDC
from contracts.program_world import World
from neurogrid_wallet.usdc import transfer

from .report import Figure, beside

# Each is to stay below 4,000; they come first.
_WITH_GOAL = ("claim_voucher", "release")


def measure() -> list[Figure]:
    """One figure for each step of the program's cost table."""
    floor_units = _transfer_units()
    units = measure_costs()
    steps = [*_WITH_GOAL, *(step for step in units if step not in _WITH_GOAL)]
    return [
        beside(
            f"{step.replace('_voucher', '').replace(', ', '_').replace(' ', '_')}_cu",
            units[step],
            "CU",
            "SPL Token transferChecked",
            floor_units,
            1,
        )
        for step in steps
    ]


def _transfer_units() -> int:
    world = World()
    source, destination = world.usdc(world.client), world.usdc(world.provider)
    mint = world.deployment.usdc_mint
    return world.do(transfer(source, destination, world.client.pubkey(), mint, USDC)).compute_units
