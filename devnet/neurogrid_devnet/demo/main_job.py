"""The first story: a job on real input, from submission to a verified receipt."""

import subprocess
import sys
import threading
from pathlib import Path

from neurogrid.models import OutputFile, Task

from ..demo_job import DemoInput, command, expected_outputs, prepare_input
from .stage import Stage, micro_usdc

# How many ways each flag is turned: some five seconds on an idle core.
TURNS = 8
MAX_PRICE_PER_HOUR = "1.00"
TIMEOUT_S = 120
_FEE_PAYER_LAMPORTS_MAX = 50_000


class Recomputation:
    """The same job on this machine, outside any container, while the market runs it."""

    def __init__(self, demo: DemoInput) -> None:
        self._demo = demo
        self._found: dict[str, str] = {}
        self._thread = threading.Thread(target=self._run, name="demo-recompute", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        self._found = expected_outputs(self._demo, TURNS)

    def hashes(self) -> dict[str, str]:
        """SHA-256 of each output by name; waits for it. Empty if the job failed here."""
        self._thread.join()
        return self._found


def submit(stage: Stage, demo: DemoInput, name: str) -> Task:
    """Submit the demo's job, as any client would."""
    return stage.client.tasks.create(
        name=name,
        docker_image=stage.network.job_image,
        command=command(TURNS),
        inputs={file.name: file for file in demo.files()},
        resource_requirements={"cpu_cores": 1, "ram_gb": 0.5, "storage_gb": 0.5},
        max_price_per_hour=MAX_PRICE_PER_HOUR,
        timeout_seconds=TIMEOUT_S,
    )


def tell_main_job(stage: Stage) -> Recomputation:
    """Tell it.

    Returns: the same outputs, computed outside; the second story compares with them too.
    """
    screen, client = stage.screen, stage.client
    screen.heading("2. A job: which of 262 flags look alike, and what words a manual uses")
    demo = prepare_input(stage.folder / "inputs")
    before = stage.ledger.money()
    task = submit(stage, demo, "flags of the world")
    screen.say(
        f"submitted {task.id}: {stage.network.job_image}, at most {MAX_PRICE_PER_HOUR} USDC/h"
    )
    expected = Recomputation(demo)
    with screen.job("running") as view, view.logs(client, task.id):
        for update in client.tasks.stream(task.id):
            if update.type == "task.awarded":
                stage.show_auction(task.id)
            view.update(update)
    task = client.tasks.wait(task.id)
    told = f"{task.status}, {task.error.message if task.error else 'exit code 0'}"
    if not screen.check("the job completed", task.status == "completed", told):
        return expected
    _show_outputs(stage, task, expected)
    screen.heading("3. The money")
    task = stage.settled(task.id)
    after = stage.ledger.money()
    stage.show_balances(before, after)
    _check_payment(stage, task, before.total == after.total)
    paid, fee = before.available - after.available, after.treasury - before.treasury
    winner = str(task.node_id)
    earned = after.wallets[winner] - before.wallets[winner]
    screen.check(
        f"{stage.name(winner)} earned what the client paid, less the fee", earned == paid - fee
    )
    screen.check("the fee is 2 %", fee == paid * 200 // 10_000)
    _show_receipt(stage, task)
    return expected


def _show_outputs(stage: Stage, task: Task, expected: Recomputation) -> None:
    stage.screen.heading("Its outputs")
    outputs = stage.client.tasks.outputs(task.id)
    show_files(stage, outputs)
    here = expected.hashes()
    found = {output.path: output.sha256 for output in outputs}
    stage.screen.check("the same job outside of any container gives the same bytes", found == here)
    written = stage.client.tasks.download(task.id, stage.folder / "outputs")
    stage.screen.check(
        f"{len(written)} files downloaded, each with the hash it is known by",
        len(written) == len(outputs) > 0,
    )


def show_files(stage: Stage, outputs: list[OutputFile]) -> None:
    """Output files and their hashes."""
    stage.screen.table(
        ("file", "bytes", "sha256"),
        [(output.path, f"{output.size:,}", output.sha256) for output in outputs],
    )


def _check_payment(stage: Stage, task: Task, is_conserved: bool) -> None:
    screen = stage.screen
    (lease,) = task.leases
    signature = lease.transaction or ""
    screen.say(f"  transaction {signature}")
    found = stage.ledger.transaction(signature)
    if screen.check("the ledger knows the transaction", found is not None) and found is not None:
        screen.say(f"    slot {found.slot}, network fee {found.fee_lamports} lamports")
        screen.check(
            "it succeeded, for a network fee of a few thousand lamports",
            found.failure is None and 0 < found.fee_lamports <= _FEE_PAYER_LAMPORTS_MAX,
        )
    screen.check("the client paid what the task says it cost", lease.paid == task.cost)
    screen.check("not a micro-USDC came from nowhere or went there", is_conserved)
    price, cost = micro_usdc(task.price_per_hour), micro_usdc(task.cost)
    ran_s = _seconds_run(task)
    screen.check(
        f"it paid for at most the {ran_s:.1f} s that the job ran",
        0 < cost <= -(-price * ran_s // 3600) + 1 and price <= micro_usdc(task.max_price_per_hour),
    )


def _seconds_run(task: Task) -> float:
    assert task.started_at is not None, "a completed task was started"
    assert task.completed_at is not None, "a completed task has ended"
    return (task.completed_at - task.started_at).total_seconds()


def _show_receipt(stage: Stage, task: Task) -> None:
    screen = stage.screen
    screen.heading("4. The receipt, verified offline")
    receipt = stage.folder / "receipt.json"
    receipt.write_bytes(stage.client.tasks.receipt(task.id))
    code, text = verify(receipt)
    screen.say(text)
    screen.check("`neurogrid verify` says that the receipt is valid", code == 0)
    price = f'"price_micro_usdc_per_hour": {micro_usdc(task.price_per_hour)}'.encode()
    content = receipt.read_bytes()
    forged = stage.folder / "forged.json"
    forged.write_bytes(content.replace(price, price + b"0", 1))
    code, text = verify(forged)
    screen.say(f"  with a tenfold price in it: {text}")
    screen.check("a receipt that was changed is refused", code != 0 and price in content)


def verify(receipt: Path) -> tuple[int, str]:
    """`neurogrid verify`: its exit code and what it prints."""
    run = subprocess.run(
        [sys.executable, "-m", "neurogrid", "verify", str(receipt)],
        capture_output=True,
        text=True,
        check=False,
    )
    return run.returncode, run.stdout.strip() or run.stderr.strip()
