"""Providers whose programs speak HTTPS alone (docs/providers.md), in a real market, for real money."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest

from acceptance.network import JOB_IMAGE, PATIENCE_S, Devnet, neurogrid, running_devnet, until
from neurogrid import ConflictError, Provider
from neurogrid.models import Task
from neurogrid.models.held_tasks import HeldTask
from neurogrid.models.resources import Resource
from neurogrid_devnet.demo.money import open_ledger
from neurogrid_devnet.network_file import NodeEntry
from neurogrid_wallet.keys import KeyPair

pytestmark = [pytest.mark.processes, pytest.mark.engine]

EXAMPLE = Path(__file__).parents[2] / "examples" / "provider_in_docker.py"
# Nobody else's machine stands there, so that it is ours that is awarded.
REGION = "by-https"
PRICE = "0.90"


@dataclass
class Owner:
    """A wallet with money, and an account of the role provider."""

    devnet: Devnet
    wallet: KeyPair
    key_file: Path
    api_key: str
    state: Path

    def program(self) -> Provider:
        """Its program."""
        url = self.devnet.network.api_url
        return Provider(
            self.api_key,
            self.key_file,
            url,
            state_directory=self.state,
            rpc_url=self.devnet.network.ledger_url,
        )

    def environment(self) -> dict[str, str]:
        """For a program of its own process."""
        return {
            **os.environ,
            "NEUROGRID_API_URL": self.devnet.network.api_url,
            "NEUROGRID_API_KEY": self.api_key,
            "NEUROGRID_WALLET_KEY": str(self.key_file),
            "HOME": str(self.state),
        }

    def has_micro_usdc(self) -> int:
        """What is in the wallet, by the chain."""
        network = self.devnet.network
        entry = NodeEntry("by-https", self.wallet.address, 0)
        changed = msgspec.structs.replace(network, nodes=[entry])
        with open_ledger(changed) as ledger:
            return ledger.money().wallets["by-https"]

    def submits(self, *command: str, region: str = REGION) -> Task:
        """A task for its machine alone."""
        return self.devnet.submit(
            *command,
            regions=[region],
            max_price_per_hour="1.00",
            idempotency_key=os.urandom(8).hex(),
        )


@pytest.fixture(scope="module")
def owner(devnet: Devnet, tmp_path_factory: pytest.TempPathFactory) -> Owner:
    return made_owner(devnet, tmp_path_factory.mktemp("owner"))


def made_owner(devnet: Devnet, folder: Path) -> Owner:
    """A new one, with a stake."""
    wallet = KeyPair.generate()
    wallet.write_solana_file(folder / "wallet.json")
    funded = neurogrid("devnet", "fund", wallet.address, "--data", str(devnet.data))
    assert funded.returncode == 0, funded.stderr
    command = [sys.executable, "-m", "neurogrid_coordinator", "account", "create", "--json"]
    command += ["--data", devnet.network.coordinator.data, "--name", "by https"]
    command += ["--wallet", wallet.address, "--role", "provider"]
    made = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    api_key = json.loads(made.stdout)["api_key"]
    found = Owner(devnet, wallet, folder / "wallet.json", api_key, folder / "state")
    with found.program() as provider:
        staked = provider.staking.stake(amount="20.00", currency="USDC")
        assert staked.kind == "stake"
        assert provider.staking.get_status().staked == 20
    return found


def machine(provider: Provider, name: str = "cpu", region: str = REGION) -> Resource:
    return provider.resources.create(
        resource_type="cpu",
        specifications={"cpu_cores": 2, "ram_gb": 4, "storage_gb": 10},
        pricing={"per_hour": PRICE},
        region=region,
        name=name,
        cached_images=[JOB_IMAGE],
    )


def taken(provider: Provider, resource: Resource) -> HeldTask:
    """The next task, accepted, with its job here."""
    for task in provider.tasks.offers(timeout_seconds=PATIENCE_S):
        try:
            provider.tasks.accept(task.id, resource_id=resource.id)
        except ConflictError:
            continue  # a busy machine was too slow: it is awarded again
        provider.tasks.wait_for_job(task.id)
        return task
    raise AssertionError("nothing was awarded")


def test_a_task_is_run_to_its_pay_by_https_alone(
    owner: Owner, devnet: Devnet, tmp_path: Path
) -> None:
    with owner.program() as provider:
        resource = machine(provider)
        before = owner.has_micro_usdc()
        submitted = owner.submits("echo", "hello")
        task = taken(provider, resource)
        provider.tasks.start(task.id, container_id="by hand", resource_usage={"cpu_cores": 1})
        provider.tasks.log(task.id, "grüße\n")
        provider.tasks.update_progress(task.id, progress=65, metrics={"cpu_usage": 85.5})

        def is_seen() -> bool:
            return devnet.client.tasks.get(submitted.id).progress == 65

        until(is_seen, "the client sees its progress")
        (listed,) = provider.tasks.list().tasks
        assert (listed.lease_id, listed.resource_id) == (task.id, resource.id)
        (tmp_path / "out").mkdir()
        (tmp_path / "out" / "answer.txt").write_text("42\n")
        provider.tasks.complete(task.id, outputs=tmp_path / "out")
        paid = provider.tasks.wait_until_paid(task.id)
        assert (paid.status, paid.outcome) == ("closed", "completed")
        done = devnet.until_settled(submitted.id)
        assert (done.status, done.node_id) == ("completed", resource.id), done.error
        assert devnet.http.get(f"/tasks/{done.id}/outputs/answer.txt").text == "42\n"
        assert devnet.http.get(f"/tasks/{done.id}/logs").json()["data"]["text"] == "grüße\n"
        (lease,) = done.leases
        assert lease.paid == paid.earned > 0
        micro = int(lease.paid * 1_000_000)
        fee = micro * devnet.network.terms["fee_bps"] // 10_000
        assert owner.has_micro_usdc() == before + micro - fee
        receipt = tmp_path / "receipt.json"
        receipt.write_bytes(devnet.client.tasks.receipt(done.id))
        verified = neurogrid("verify", str(receipt), "--json")
        assert json.loads(verified.stdout)["valid"], verified.stdout

        summary = provider.earnings.get_summary()
        assert (summary.paid, summary.jobs) == (lease.paid, 1)
        (job,) = provider.earnings.list_jobs().jobs
        assert job.lease_id == task.id
        client = devnet.network.client_wallet
        sent = provider.payouts.request(amount="1.00", currency="USDC", wallet_address=client)
        assert sent.status in ("confirmed", "completed")
        assert owner.has_micro_usdc() == before + micro - fee - 1_000_000
        assert provider.payouts.get_history(limit=50).total == 1


def test_stake_is_taken_out_and_put_back_on_the_chain(owner: Owner) -> None:
    with owner.program() as provider:
        provider.staking.unstake(amount="5.00", currency="USDC")
        status = provider.staking.get_status()
        assert f"{status.staked} {status.unbonding}" == "15.00 5.00"
        provider.staking.rebond("2.00")
        status = provider.staking.get_status()
        assert f"{status.staked} {status.unbonding}" == "17.00 3.00"
        with pytest.raises(ConflictError, match="are unbonding until"):
            provider.staking.withdraw()
        with pytest.raises(ConflictError, match="unstake and withdraw them first"):
            provider.staking.close()
        provider.staking.rebond("3.00")


def test_what_fails_by_its_own_fault_is_paid_and_what_never_ran_is_not(
    owner: Owner, devnet: Devnet
) -> None:
    with owner.program() as provider:
        resource = machine(provider)
        submitted = owner.submits("false")
        task = taken(provider, resource)
        provider.tasks.start(task.id)
        time.sleep(1)  # what is metered has to be something
        provider.tasks.fail(
            task.id, error_code="EXECUTION_ERROR", error_message="Container crashed"
        )
        assert provider.tasks.wait_until_paid(task.id).earned > 0
        done = devnet.until_settled(submitted.id)
        assert (done.status, done.exit_code) == ("failed", 1)
        assert done.error is not None
        assert "Container crashed" in done.error.message
        submitted = owner.submits("true")
        task = taken(provider, resource)
        provider.tasks.fail(task.id, error_code="JOB_REFUSED", error_message="not here")
        # Nothing is due: the escrow is given up at once, and its client has it back.
        assert provider.tasks.wait_until_paid(task.id).earned == 0
        done = devnet.until_settled(submitted.id)
        assert (done.status, done.cost) == ("failed", Decimal(0))


@pytest.mark.nightly
def test_a_coordinator_that_is_killed_between_each_two_calls_loses_nothing(
    owner: Owner, devnet: Devnet
) -> None:
    def dies() -> None:
        devnet.until_restarted("api", devnet.kill("api"))

    with owner.program() as provider:
        resource = machine(provider)
        before = owner.has_micro_usdc()
        submitted = owner.submits("echo", "hello")
        task = next(provider.tasks.offers(timeout_seconds=PATIENCE_S))
        provider.tasks.accept(task.id, resource_id=resource.id)
        dies()
        try:
            provider.tasks.wait_for_job(task.id)
        except ConflictError:
            # It died before it had stored the acceptance, and awards the task anew.
            task = taken(provider, resource)
        dies()
        provider.tasks.start(task.id)
        dies()
        provider.tasks.update_progress(task.id, 50)
        provider.tasks.complete(task.id)
        dies()
        paid = provider.tasks.wait_until_paid(task.id)
        done = devnet.until_settled(submitted.id)
        assert done.status == "completed", done.error
        *lost, lease = done.leases
        assert lease.paid == paid.earned > 0
        assert not any(each.paid for each in lost)
        micro = int(lease.paid * 1_000_000)
        fee = micro * devnet.network.terms["fee_bps"] // 10_000
        assert owner.has_micro_usdc() == before + micro - fee


@pytest.mark.nightly
def test_a_machine_that_falls_silent_loses_its_task_to_another(
    owner: Owner, devnet: Devnet
) -> None:
    region = "by-https-silent"
    with owner.program() as provider:
        resource = machine(provider, "silent", region)
        submitted = owner.submits("true", region=region)
        task = taken(provider, resource)
        provider.tasks.start(task.id)
    with owner.program() as provider:
        other = machine(provider, "other", region)
        again = taken(provider, other)
        assert again.id != task.id
        provider.tasks.start(again.id)
        provider.tasks.complete(again.id)
        done = devnet.until_settled(submitted.id)
        assert (done.status, done.node_id) == ("completed", other.id)
        # It comes back, and is told to stop; nothing of it is lost but what it did unseen.
        machine(provider, "silent", region)

        def is_told() -> bool:
            held = {one.id: one.status for one in provider.tasks.held()}
            return held.get(task.id, "closed") in ("stopping", "closed")

        until(is_told, "it is told to stop")


@pytest.mark.nightly
def test_a_provider_leaves_for_good_and_has_all_its_money_back(tmp_path: Path) -> None:
    windows = ("--unbonding-s", "3", "--grace-s", "1", "--arbitration-s", "1")
    with running_devnet(tmp_path / "D", 1, *windows) as devnet:
        owner = made_owner(devnet, tmp_path)
        assert owner.has_micro_usdc() == 80_000_000
        with owner.program() as provider:
            provider.staking.unstake("20.00")
            until(_withdrawn(provider), "what unbonds is withdrawn")
            closed = provider.staking.close()
            assert closed.status in ("confirmed", "completed")
            assert owner.has_micro_usdc() == 100_000_000
            status = provider.staking.get_status()
            assert not status.registered
            with pytest.raises(ConflictError, match="is no provider in this market"):
                provider.staking.close()
            assert provider.staking.stake("5.00").status in ("confirmed", "completed")


def _withdrawn(provider: Provider) -> Callable[[], bool]:
    def withdraw() -> bool:
        try:
            return provider.staking.withdraw().status in ("confirmed", "completed")
        except ConflictError:
            return False  # its window has not passed

    return withdraw


@contextmanager
def example(owner: Owner, folder: Path) -> Iterator["subprocess.Popen[str]"]:
    """The example program, as a process."""
    command = [sys.executable, str(EXAMPLE), "--price", PRICE, "--region", "example"]
    command += ["--cores", "2", "--ram-gb", "4", "--folder", str(folder)]
    with (folder.with_suffix(".log")).open("a") as log:
        process = subprocess.Popen(
            command, env=owner.environment(), stdout=log, stderr=log, text=True
        )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.terminate()
        process.wait(30)


def test_the_example_program_runs_containers_and_may_be_killed(
    owner: Owner, devnet: Devnet, tmp_path: Path
) -> None:
    folder = tmp_path / "tasks"
    job = ("sh", "-c", "cat /inputs/in.txt; sleep 4; echo 42 > /outputs/answer.txt; echo done")
    (tmp_path / "in.txt").write_text("what goes in\n")
    with example(owner, folder) as process:
        said = folder.with_suffix(".log")
        until(lambda: "in the market" in said.read_text(), "it is in the market")
        submitted = devnet.submit(*job, regions=["example"], inputs={"in.txt": tmp_path / "in.txt"})
        devnet.until_phase(submitted.id, "running")
        process.send_signal(signal.SIGKILL)
        process.wait(10)
    with example(owner, folder):
        done = devnet.until_settled(submitted.id)
        assert done.status == "completed", (done.error, said.read_text())
        (lease,) = done.leases
        assert lease.paid
        text = devnet.http.get(f"/tasks/{done.id}/logs").json()["data"]["text"]
        assert text == "what goes in\ndone\n"
        assert devnet.http.get(f"/tasks/{done.id}/outputs/answer.txt").text == "42\n"
        until(lambda: "completed, earned" in said.read_text(), "it is paid, and says so")
