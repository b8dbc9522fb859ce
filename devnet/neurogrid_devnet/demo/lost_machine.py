"""The second story: the machine that runs a job is lost, and the task finishes on the other one."""

import time
from pathlib import Path

from neurogrid.errors import WaitTimeout
from neurogrid.models import Task

from ..demo_job import prepare_input
from ..layout import Layout
from ..stop import lose_node
from .main_job import Recomputation, submit
from .money import Money
from .screen import JobView
from .stage import Stage, micro_usdc

# Far enough for real work to be lost, with enough to come.
_LOSE_AT_PERCENT = 30.0
_MID_JOB_PATIENCE_S = 60.0


def tell_lost_machine(stage: Stage, expected: Recomputation) -> None:
    """Tell it.

    Args:
        expected: the outputs that the job must have, wherever it ran.
    """
    screen, client = stage.screen, stage.client
    screen.heading("5. The same job again, and its machine is lost in the middle")
    before = stage.ledger.money()
    task = submit(stage, prepare_input(stage.folder / "inputs"), "on a machine that dies")
    with screen.job("running") as view:
        first = _run_until_lost(stage, task.id, view)
        for update in client.tasks.stream(task.id):
            if update.type == "task.queued":
                view.line(f"back to auction: {first} is {update.message}", "yellow")
            elif update.type == "task.awarded" and stage.name(update.node_id) != first:
                stage.show_auction(task.id)
            view.update(update)
    task = client.tasks.wait(task.id)
    if not screen.check("the task completed all the same", task.status == "completed"):
        return
    screen.check(
        f"on {stage.name(task.node_id)}, not on {first}", stage.name(task.node_id) != first
    )
    found = {output.path: output.sha256 for output in client.tasks.outputs(task.id)}
    screen.check("with the same outputs, to the byte", found == expected.hashes())
    _check_money(stage, stage.settled(task.id), before)


def _run_until_lost(stage: Stage, task_id: str, view: JobView) -> str:
    """Follow the job to its middle, then lose its machine; the machine's name."""
    deadline = time.monotonic() + _MID_JOB_PATIENCE_S
    for update in stage.client.tasks.stream(task_id):
        view.update(update)
        if update.progress >= _LOSE_AT_PERCENT or update.ended:
            break
        if time.monotonic() > deadline:
            raise WaitTimeout(f"{task_id} did not come to its middle")
    node_id = stage.client.tasks.get(task_id).node_id or ""
    view.line(f"kill -9 {stage.name(node_id)}, its container removed, not to come back", "red")
    lose_node(Layout(Path(stage.network.data)), node_id)
    return stage.name(node_id)


def _check_money(stage: Stage, task: Task, before: Money) -> None:
    screen = stage.screen
    after = stage.ledger.money()
    stage.show_balances(before, after)
    lost, finisher = task.leases[0], task.leases[-1]
    paid = {lease.id: micro_usdc(lease.paid) for lease in task.leases}
    earned = {peer: amount - before.wallets[peer] for peer, amount in after.wallets.items()}
    charged = before.available - after.available
    fees = after.treasury - before.treasury
    screen.say(f"  {stage.name(finisher.node_id)} was paid by {finisher.transaction}")
    screen.say(f"  the escrow for {stage.name(lost.node_id)} came back by {lost.transaction}")
    screen.check(
        "two leases, two machines", len(task.leases) == 2 and lost.node_id != finisher.node_id
    )
    screen.check(
        "paid once: the machine that was lost got nothing beyond vouchers signed while it ran",
        paid[lost.id] <= earned[lost.node_id] + fees and paid[finisher.id] == micro_usdc(task.cost),
        f"{paid}",
    )
    screen.check(
        "what the client was charged is what the two machines got, and the fee",
        charged == sum(paid.values()) == sum(earned.values()) + fees,
        f"charged {charged}, paid {paid}, earned {earned}, fees {fees}",
    )
    screen.check("nothing is left in escrow", after.locked == 0)
    screen.check("not a micro-USDC came from nowhere or went there", before.total == after.total)
