"""Nodes whose engine remaps users, whole: a job that asks for that goes on elsewhere with what it has kept."""

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from acceptance.network import JOB_IMAGE, Devnet, neurogrid, running_devnet
from acceptance.test_checkpoints import COUNTING
from acceptance.test_preemptible import paid_leases
from engine.own_dockerd import REMAPPED_ROOT, own_dockerd
from neurogrid_node.container.probe import PROBE_IMAGE

pytestmark = [pytest.mark.processes, pytest.mark.engine]


@pytest.fixture(scope="module")
def market() -> Iterator[Devnet]:
    # Short, because sockets lie in it; on the way to containers' files, so open.
    with tempfile.TemporaryDirectory(prefix="ng-") as folder, pytest.MonkeyPatch.context() as patch:
        Path(folder).chmod(0o711)
        with own_dockerd(Path(folder) / "e", is_remapped=True) as own:
            own.take_images(JOB_IMAGE, PROBE_IMAGE)
            patch.setenv("DOCKER_HOST", own.url)
            with running_devnet(own.shared / "D", nodes=2) as running:
                yield running


def node_command(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "neurogrid_node", *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_a_job_that_asks_for_user_namespaces_goes_on_elsewhere_with_files_that_are_its_own(
    market: Devnet, tmp_path: Path
) -> None:
    market.until_idle()
    task = market.submit(
        *("sh", "-c", COUNTING),
        where="runtime has userns",
        preemptible=True,
        checkpoint={"interval_seconds": 600, "keep": 2},
        timeout_seconds=600,
    )
    task = market.until_phase(task.id, "running")
    first = task.leases[-1]
    data = next(node.data for node in market.network.nodes if node.peer_id == first.node_id)
    asked = node_command("reclaim", first.id, "--data", data)
    assert asked.returncode == 0, asked.stderr

    task = market.until_settled(task.id)
    assert (task.status, task.preemptions) == ("completed", 1), task.error
    one, two = paid_leases(task)
    assert two.node_id != one.node_id
    market.client.tasks.download(task.id, tmp_path)
    assert (tmp_path / "sum").read_text() == "210\n"
    receipt = tmp_path / "receipt.json"
    receipt.write_bytes(market.client.tasks.receipt(task.id))
    checked = neurogrid("verify", str(receipt))
    assert checked.returncode == 0, checked.stdout + checked.stderr

    examined = node_command("doctor", "--json", "--data", data)
    found = {each["code"]: each["saw"] for each in json.loads(examined.stdout)["findings"]}
    assert f"user {REMAPPED_ROOT}" in found["USERNS_ON"]
    assert "CONTAINER_OK" in found
