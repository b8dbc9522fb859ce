"""A node of a Docker swarm, whole: its daemon on the manager, its jobs on another machine. Blame and pay are right."""

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import docker
import pytest

from acceptance.network import JOB_IMAGE, Devnet, neurogrid, running_devnet, until
from acceptance.test_faults import begun, completed
from engine.own_dockerd import OwnDockerd
from engine.own_swarm import engine_flags, one_more_machine, own_swarm
from neurogrid.models import Task
from neurogrid_devnet.demo.money import Money
from neurogrid_node.container.spec import LABEL_LEASE

pytestmark = [pytest.mark.processes, pytest.mark.engine]


class Fleet:
    """A devnet whose first node, the cheaper one, is a fleet of one machine that its daemon is not on."""

    def __init__(
        self, market: Devnet, manager: OwnDockerd, worker: OwnDockerd, shared: Path
    ) -> None:
        self.market = market
        self.manager = manager
        self.worker = worker
        self.shared = shared
        self.machine = worker.docker("info", "--format", "{{.Swarm.NodeID}}").strip()

    def services(self, task: Task) -> list[Any]:
        """What the swarm has of a task's last lease."""
        client = docker.DockerClient(base_url=self.manager.url)
        try:
            return client.services.list(filters={"label": f"{LABEL_LEASE}={task.leases[-1].id}"})
        finally:
            client.close()

    def machines(self, task: Task) -> set[str]:
        """Where it runs."""
        return {each["NodeID"] for service in self.services(task) for each in service.tasks()}


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    data = tmp_path_factory.mktemp("fleet") / "D"
    with ExitStack() as stack:
        # Sockets lie in it, whose paths are at most 107 bytes.
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="ng-")))
        swarm = stack.enter_context(own_swarm(folder / "s"))
        worker = stack.enter_context(one_more_machine(swarm, folder / "w", *engine_flags(folder)))
        for each in (swarm.manager, worker):
            each.take_images(JOB_IMAGE)
        manager = swarm.machine(swarm.manager)
        swarm.manager.docker("node", "update", "--availability", "drain", manager)
        environment = stack.enter_context(pytest.MonkeyPatch.context())
        environment.setenv("DOCKER_HOST", swarm.url)
        market = stack.enter_context(running_devnet(data, nodes=2))
        shared = folder / "shared"
        shared.mkdir(mode=0o700)
        file = data / "nodes" / "1" / "node.toml"
        text = file.read_text()
        assert 'kind = "docker"' in text
        text = text.replace('kind = "docker"', 'kind = "swarm"')
        file.write_text(text.replace('shared = ""', f'shared = "{shared}"'))
        market.until_restarted("node-1", market.kill("node-1"))
        until(lambda: summary(market).startswith("a fleet of 1: "), "its machine is offered")
        yield Fleet(market, swarm.manager, worker, shared)


def summary(market: Devnet) -> str:
    """What the first node says of itself."""
    first, _ = market.network.nodes
    return next(
        (node.summary for node in market.client.nodes.list().nodes if node.id == first.peer_id), ""
    )


def begun_there(fleet: Fleet) -> tuple[Task, Money]:
    """A job that has begun to print on the fleet's machine."""
    task, before = begun(fleet.market)
    first, _ = fleet.market.network.nodes
    assert task.node_id == first.peer_id
    assert fleet.machines(task) == {fleet.machine}
    return task, before


def test_a_job_on_another_machine_is_paid_its_files_come_and_nothing_of_it_stays(
    fleet: Fleet, tmp_path: Path
) -> None:
    market = fleet.market
    task, before = begun_there(fleet)
    task = completed(market, task, before, more_leases=0)
    market.client.tasks.download(task.id, tmp_path)
    assert (tmp_path / "done").read_text() == "done\n"
    receipt = tmp_path / "receipt.json"
    receipt.write_bytes(market.client.tasks.receipt(task.id))
    checked = neurogrid("verify", str(receipt))
    assert checked.returncode == 0, checked.stdout + checked.stderr
    until(lambda: not fleet.services(task), "its service is gone")
    (folder,) = fleet.shared.iterdir()
    until(lambda: not [each for each in folder.iterdir() if each.name[0] != "."], "its files are")


def test_a_daemon_that_is_killed_adopts_what_runs_on_another_machine(fleet: Fleet) -> None:
    market = fleet.market
    task, before = begun_there(fleet)
    market.until_restarted("node-1", market.kill("node-1"))
    completed(market, task, before, more_leases=0)


def test_a_machine_that_is_lost_loses_its_job_which_runs_elsewhere_and_costs_nothing(
    fleet: Fleet,
) -> None:
    market = fleet.market
    task, before = begun_there(fleet)
    fleet.worker.kill()
    again = completed(market, task, before, more_leases=1)
    assert again.node_id != task.node_id
    assert "the container engine was interrupted" in str(again.timeline)
    until(lambda: summary(market).startswith("a fleet of 0"), "it is offered no more")
