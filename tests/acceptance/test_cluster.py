"""A node of a Kubernetes cluster, whole: its daemon outside, its jobs pods on a machine. Blame and pay are right."""

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from acceptance.network import JOB_IMAGE, Devnet, neurogrid, running_devnet, until
from acceptance.test_faults import begun, completed
from acceptance.test_fleet import summary
from engine.own_cluster import NAMESPACE, OwnCluster, own_cluster
from neurogrid.models import Task
from neurogrid_devnet.demo.money import Money
from neurogrid_node.container.spec import LABEL_LEASE

pytestmark = [pytest.mark.processes, pytest.mark.engine]


class Cluster:
    """A devnet whose first node, the cheaper one, has a cluster of one machine."""

    def __init__(self, market: Devnet, own: OwnCluster) -> None:
        self.market = market
        self.own = own

    def pods(self, task: Task) -> list[str]:
        """What the cluster has of a task's last lease."""
        return [
            pod["metadata"]["name"]
            for pod in self.own.store.list("pods", NAMESPACE)
            if pod["metadata"]["labels"].get(LABEL_LEASE) == task.leases[-1].id
        ]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    data = tmp_path_factory.mktemp("cluster") / "D"
    with ExitStack() as stack:
        # Sockets lie in it, whose paths are at most 107 bytes.
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="ng-")))
        own = stack.enter_context(own_cluster(folder / "k", JOB_IMAGE))
        # A node that is started again reads a large client first.
        market = stack.enter_context(running_devnet(data, 2, "--dead-after-s", "60"))
        file = data / "nodes" / "1" / "node.toml"
        text = file.read_text()
        for old, new in (
            ('kind = "docker"', 'kind = "kubernetes"'),
            ('shared = ""', f'shared = "{own.shared}"'),
            ('kubeconfig = ""', f'kubeconfig = "{own.kubeconfig}"'),
        ):
            assert old in text
            text = text.replace(old, new)
        file.write_text(text)
        market.until_restarted("node-1", market.kill("node-1"))
        until(lambda: summary(market).startswith("a fleet of 1: ash"), "its machine is offered")
        yield Cluster(market, own)
        assert own.api.mistakes == []


def begun_there(cluster: Cluster) -> tuple[Task, Money]:
    """A job that has begun to print in a pod."""
    task, before = begun(cluster.market)
    first, _ = cluster.market.network.nodes
    assert task.node_id == first.peer_id
    assert len(cluster.pods(task)) == 1
    return task, before


def test_a_job_in_a_pod_is_paid_its_files_come_and_nothing_of_it_stays(
    cluster: Cluster, tmp_path: Path
) -> None:
    market = cluster.market
    task, before = begun_there(cluster)
    task = completed(market, task, before, more_leases=0)
    market.client.tasks.download(task.id, tmp_path)
    assert (tmp_path / "done").read_text() == "done\n"
    receipt = tmp_path / "receipt.json"
    receipt.write_bytes(market.client.tasks.receipt(task.id))
    checked = neurogrid("verify", str(receipt))
    assert checked.returncode == 0, checked.stdout + checked.stderr
    until(lambda: not cluster.pods(task), "its pod is gone")
    (folder,) = cluster.own.shared.iterdir()
    until(lambda: not [each for each in folder.iterdir() if each.name[0] != "."], "its files are")


def test_a_daemon_that_is_killed_adopts_what_runs_in_a_pod(cluster: Cluster) -> None:
    market = cluster.market
    task, before = begun_there(cluster)
    pods = cluster.pods(task)
    market.until_restarted("node-1", market.kill("node-1"))
    assert cluster.pods(task) == pods
    completed(market, task, before, more_leases=0)


def test_a_pod_that_somebody_deletes_loses_its_job_which_runs_again_and_costs_nothing(
    cluster: Cluster,
) -> None:
    market = cluster.market
    task, before = begun_there(cluster)
    (pod,) = cluster.pods(task)
    cluster.own.delete(pod, grace_s=1)
    again = completed(market, task, before, more_leases=1)
    assert "the container engine was interrupted" in str(again.timeline)
