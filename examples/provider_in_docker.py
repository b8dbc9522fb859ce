"""A provider's program: this machine takes tasks of a NeuroGrid market and runs each in a Docker container.

    export NEUROGRID_API_URL=... NEUROGRID_API_KEY=... NEUROGRID_WALLET_KEY=wallet.json
    python examples/provider_in_docker.py --price 0.10 --cores 2 --ram-gb 4 --storage-gb 20

It speaks HTTPS alone: no port of this machine is opened. Killed at any moment and started again, it goes on with what it
has accepted: a task's container is called like the task. It is an example, and much less than `neurogrid-node`: what a job may do to
its machine is limited by the flags below and by nothing else, a job's disk is not limited, and its network is none. It takes images that are on this
machine, and no others.
"""

import argparse
import json
import signal
import subprocess
import sys
import threading
from pathlib import Path
from types import FrameType

from neurogrid import ConflictError, NeuroGridError, NotFoundError, Provider
from neurogrid.models.held_tasks import HeldTask, TaskJob

# How often a running job is looked at, and its log read.
LOOK_S = 1.0
STOP_AFTER_S = 10


def docker(*arguments: str) -> str:
    """The output of a docker command; raises CalledProcessError with what it complained of."""
    done = subprocess.run(["docker", *arguments], capture_output=True, text=True, check=True)
    return done.stdout


def is_there(task_id: str) -> bool:
    """Whether a task has a container: who was killed may have made it already."""
    names = docker("ps", "--all", "--format", "{{.Names}}", "--filter", f"name=^{task_id}$")
    return task_id in names.split()


def make_container(task: HeldTask, job: TaskJob, folder: Path) -> None:
    """Make it, with nothing but what the task asked for."""
    docker(
        "create",
        *("--name", task.id, "--label", "neurogrid.example=1", "--pull", "never"),
        *("--network", "none", "--read-only", "--tmpfs", "/tmp:size=64m"),
        *("--cap-drop", "ALL", "--security-opt", "no-new-privileges", "--pids-limit", "256"),
        *("--cpus", f"{task.cpu_cores:g}", "--memory", str(round(task.ram_gb * 1e9))),
        *(word for uuid in task.gpus for word in ("--gpus", f"device={uuid}")),
        *(
            "--volume",
            f"{folder / 'inputs'}:/inputs:ro",
            "--volume",
            f"{folder / 'outputs'}:/outputs",
        ),
        *(word for pair in job.environment.items() for word in ("--env", "=".join(pair))),
        job.docker_image,
        *job.command,
    )


class Work:
    """One task, from its acceptance to its pay, in a thread of its own."""

    def __init__(self, provider: Provider, task: HeldTask, folder: Path) -> None:
        self.provider = provider
        self.task = task
        self.folder = folder / task.id
        self.log_bytes = task.log_bytes

    def run(self) -> None:
        """Do what is left to do."""
        try:
            if self.task.status in ("accepted", "ready"):
                self.prepare()
            if self.provider.tasks.get(self.task.id).status in ("running", "stopping"):
                self.follow()
            if self.provider.tasks.get(self.task.id).status == "collecting":
                self.provider.tasks.complete(self.task.id, outputs=self.folder / "outputs")
            paid = self.provider.tasks.wait_until_paid(self.task.id)
            print(f"{self.task.id}  {paid.outcome}, earned {paid.earned} USDC", flush=True)
        except (NeuroGridError, subprocess.CalledProcessError) as error:
            words = getattr(error, "stderr", None) or error
            print(f"{self.task.id}  {words}", file=sys.stderr, flush=True)
        finally:
            subprocess.run(
                ["docker", "rm", "--force", self.task.id], capture_output=True, check=False
            )

    def prepare(self) -> None:
        """From the job's arrival to a running container."""
        tasks, task_id = self.provider.tasks, self.task.id
        job = tasks.wait_for_job(task_id)
        for name in ("inputs", "outputs"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        (self.folder / "outputs").chmod(0o777)
        try:
            if not is_there(task_id):
                tasks.download_inputs(task_id, self.folder / "inputs")
                make_container(self.task, job, self.folder)
            docker("start", task_id)
        except subprocess.CalledProcessError as error:
            words = error.stderr.strip()[-500:]
            tasks.fail(task_id, error_code="START_FAILED", error_message=words)
            return
        used = {"cpu_cores": self.task.cpu_cores, "ram_gb": self.task.ram_gb}
        tasks.start(task_id, container_id=task_id, resource_usage=used)

    def follow(self) -> None:
        """Until the container has ended, or has to."""
        tasks, task_id = self.provider.tasks, self.task.id
        waiting = threading.Event()
        while True:
            state = json.loads(docker("inspect", "--format", "{{json .State}}", task_id))
            self.tell_log()
            if state["Status"] in ("exited", "dead"):
                break
            if tasks.get(task_id).status == "stopping":
                docker("stop", "--time", str(STOP_AFTER_S), task_id)
                continue
            waiting.wait(LOOK_S)
        if state["ExitCode"] == 0:
            tasks.complete(task_id, outputs=self.folder / "outputs")
        else:
            code = "MEMORY_EXCEEDED" if state["OOMKilled"] else "EXECUTION_ERROR"
            words = f"the program ended with {state['ExitCode']}"
            tasks.fail(task_id, error_code=code, error_message=words, exit_code=state["ExitCode"])

    def tell_log(self) -> None:
        """What the job has written since."""
        done = subprocess.run(
            ["docker", "logs", self.task.id],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=True,
        )
        new = done.stdout[self.log_bytes :]
        if new:
            self.log_bytes += len(new)
            self.provider.tasks.log(self.task.id, new.decode("utf-8", "replace"))


def main() -> None:
    """See the module."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--price", default="0.10", help="USDC per hour, for any task")
    options.add_argument("--cores", type=float, default=1)
    options.add_argument("--ram-gb", type=float, default=1)
    options.add_argument("--storage-gb", type=float, default=10)
    options.add_argument("--region", default="local")
    options.add_argument("--rpc-url", help="of a Solana endpoint, to look at escrows")
    options.add_argument("--folder", type=Path, default=Path("provider-tasks"))
    given = options.parse_args()
    # An orderly end: what runs goes on in its container, and with this program when it is started again.
    stopping = threading.Event()

    def stop(_signal: int, _frame: FrameType | None) -> None:
        stopping.set()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    folder = given.folder.resolve()

    with Provider(rpc_url=given.rpc_url) as provider:
        if not provider.staking.get_status().registered:
            minimum = provider.staking.get_status().minimum
            print(f"staking {minimum} USDC", flush=True)
            provider.staking.stake(amount=minimum)
        images = [
            name
            for name in docker("images", "--format", "{{.Repository}}:{{.Tag}}").split()
            if "<" not in name
        ]
        resource = provider.resources.create(
            resource_type="cpu",
            specifications={
                "cpu_cores": given.cores,
                "ram_gb": given.ram_gb,
                "storage_gb": given.storage_gb,
            },
            pricing={"per_hour": given.price},
            region=given.region,
            images=images,
            cached_images=images,
        )
        print(f"{resource.id}  in the market", flush=True)

        def begin(task: HeldTask) -> None:
            threading.Thread(target=Work(provider, task, folder).run, daemon=True).start()

        for task in provider.tasks.held():
            begin(task)
        while not stopping.is_set():
            for offered in provider.tasks.offers(timeout_seconds=1):
                try:
                    begin(provider.tasks.accept(offered.id, resource_id=resource.id))
                except (ConflictError, NotFoundError) as error:
                    print(error, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
