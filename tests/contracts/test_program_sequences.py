"""Any sequence of instructions, sensible or not, leaves the books right.

After each step, successful or refused, every vault equals its ledger, locked money equals the open
escrows, and no USDC was made or lost (:meth:`World.audit`). At the end everybody leaves: whatever
happened, all money can be taken out.
"""

from collections.abc import Callable

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from solders.instruction import Instruction

from contracts.program_parties import JOB, NOW, USDC, job_id
from contracts.program_world import World

JOBS = (JOB, job_id("second"), job_id("third"))
# Around every limit that matters: nothing, dust, an escrow, a stake, a deposit, everything.
AMOUNTS = st.sampled_from([0, 1, 39, 41, USDC, 60 * USDC, 500 * USDC, 2_000 * USDC, 2**64 - 1])

Step = Callable[[World, bytes, int], list[Instruction]]


def released(world: World, job: bytes) -> int:
    return 0 if world.is_closed(job) else world.escrow_account(job).released_micro_usdc


def voucher_steps(world: World, job: bytes, amount: int, *, close: bool) -> list[Instruction]:
    if world.is_closed(job):
        return [world.claim(amount, job=job)]
    return [
        world.proof(amount, job=job),
        world.claim(amount, job=job, close_to=world.client if close else None),
    ]


STEPS: dict[str, Step] = {
    "deposit": lambda w, _, n: [w.deposit(n)],
    "withdraw": lambda w, _, n: [w.withdraw(n)],
    "stake": lambda w, _, n: [w.stake(n)],
    "request_unstake": lambda w, _, n: [w.request_unstake(n)],
    "withdraw_stake": lambda w, _, n: [w.withdraw_stake()],
    "open": lambda w, job, n: [w.open(n, job=job, deadline=w.now + 3_600)],
    "open, operator": lambda w, job, n: [w.open(n, job=job, by=w.operator, deadline=w.now + 3_600)],
    "release": lambda w, job, n: [w.release(n, job=job, released=released(w, job))],
    "release, final": lambda w, job, n: [
        w.release(n, job=job, released=released(w, job), final=True)
    ],
    "release, closing": lambda w, job, n: [
        w.release(n, job=job, released=released(w, job), final=True, close_to=w.client)
    ],
    "release twice": lambda w, job, n: [w.release(n, job=job), w.release(n, job=job)],
    "voucher": lambda w, job, n: voucher_steps(w, job, n, close=False),
    "voucher, closing": lambda w, job, n: voucher_steps(w, job, n, close=True),
    "refund": lambda w, job, _: [w.refund(job=job)],
    "refund, operator": lambda w, job, _: [w.refund(job=job, rent_payer=w.operator)],
    "relinquish": lambda w, job, _: [w.relinquish(job=job)],
    "relinquish, operator": lambda w, job, _: [w.relinquish(job=job, rent_payer=w.operator)],
    "dispute": lambda w, job, _: [w.dispute(job=job)],
    "slash": lambda w, job, n: [w.slash(n, job=job)],
    "resolve": lambda w, job, n: [w.resolve(n, job=job)],
    "pause": lambda w, _, n: [w.set_paused(n % 2 == 1)],
}
MOVES = st.one_of(
    st.tuples(st.sampled_from(sorted(STEPS)), st.sampled_from(JOBS), AMOUNTS),
    # Seconds: within a window, past a deadline, past an arbitration, past an unbonding.
    st.sampled_from([600, 3_601, 4 * 86_400, 8 * 86_400]),
)


# Derandomized: the suite must not fail by chance. No deadline: a shared machine stalls at will.
@settings(
    max_examples=60, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
@given(st.lists(MOVES, min_size=10, max_size=40))
def test_no_sequence_of_instructions_breaks_the_books(
    moves: list[tuple[str, bytes, int] | int],
) -> None:
    world = World()
    for move in moves:
        if isinstance(move, int):
            world.set_time(world.now + move)
        else:
            name, job, amount = move
            world.attempt(*STEPS[name](world, job, amount))
    everybody_leaves(world)


def everybody_leaves(world: World) -> None:
    """Nobody needs anybody's permission to take out what the books say is theirs."""
    world.set_time(world.now + 30 * 86_400)
    for job in JOBS:
        if not world.is_closed(job):
            payer = world.keys[world.escrow_account(job).rent_payer]
            world.do(world.refund(job=job, rent_payer=payer))
    client = world.client_account()
    assert client.locked_micro_usdc == client.open_escrows == 0
    if client.balance_micro_usdc:
        world.do(world.withdraw(client.balance_micro_usdc))
    staked = world.provider_account().staked_micro_usdc
    if staked:
        world.do(world.request_unstake(staked))
        world.set_time(world.now + world.terms.unbonding_window_s)
    if world.provider_account().unbonding_micro_usdc:
        world.do(world.withdraw_stake())
    for account in (world.client_account().vault, world.provider_account().vault):
        assert world.amount(account) == 0


def test_the_moves_reach_every_kind_of_step() -> None:
    """A sequence in which each step succeeds, so that the property above is not about refusals."""
    world = World()
    script: list[tuple[str, int]] = [
        ("deposit", USDC),
        ("withdraw", USDC),
        ("stake", USDC),
        ("request_unstake", USDC),
        ("open", 100 * USDC),
        ("release", 1),
        ("release, final", 41),
        ("voucher", USDC),
        ("dispute", 0),
        ("slash", 39),
        ("resolve", 1),
        ("open", 60 * USDC),
        ("voucher, closing", USDC),
        ("open", 60 * USDC),
        ("release, closing", USDC),
        ("open, operator", USDC),
        ("relinquish, operator", 0),
        ("open", USDC),
        ("relinquish", 0),
    ]
    for name, amount in script:
        assert world.attempt(*STEPS[name](world, JOB, amount)), name
    assert world.now == NOW
    everybody_leaves(world)
