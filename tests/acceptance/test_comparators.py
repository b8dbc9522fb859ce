"""Results that differ and are the same all the same, with real processes, containers and chain."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from acceptance.network import JOB_IMAGE, Devnet, running_devnet
from neurogrid.models import Task

pytestmark = [pytest.mark.processes, pytest.mark.engine]

# The jobs see where on their nodes' disks their inputs lie, and so on which node they are.
NODE = "node=$(sed -n 's,.*/nodes/\\([0-9]\\)/workspaces.*,\\1,p' /proc/self/mountinfo | head -n 1)"
# The last digit depends on the node; node 2 lies.
TRAIN = f"""
{NODE}
if [ "$node" = 2 ]; then loss=0.5; else loss=0.2500000$node; fi
echo '{{"loss": '$loss', "steps": 100}}' > /outputs/metrics.json
"""
GREET = f"""
{NODE}
echo "hello from node $node" > /outputs/greeting
"""
# Greetings are the same when they begin alike. At this price a run costs nothing below 36 ms.
COMPARE = """
sleep 0.2
begin() { cut -c 1-5 /inputs/$1/greeting; }
test "$RUNS" = 2 || exit 2
test "$(begin 0)" = "$(begin 1)"
"""


@pytest.fixture
def devnet(tmp_path: Path) -> Iterator[Devnet]:
    """Three nodes, each with an owner of its own."""
    with running_devnet(tmp_path / "D", nodes=3) as running:
        yield running


def test_a_task_says_what_makes_two_results_the_same(devnet: Devnet) -> None:
    by_numbers = devnet.submit(
        "sh",
        "-c",
        TRAIN,
        verification={
            "mode": "quorum",
            "runs": 3,
            "comparator": {"kind": "numeric", "relative": "1e-5"},
        },
    )
    devnet.until_settled(by_numbers.id)
    task = devnet.client.tasks.get(by_numbers.id)
    assert verdicts(devnet, task) == {"node-1": "agreed", "node-2": "refuted", "node-3": "agreed"}
    assert task.status == "completed"

    compare = ["sh", "-c", COMPARE]
    by_image = devnet.submit(
        "sh",
        "-c",
        GREET,
        verification={
            "mode": "quorum",
            "runs": 2,
            "comparator": {"kind": "image", "image": JOB_IMAGE, "command": compare},
        },
    )
    devnet.until_settled(by_image.id)
    task = devnet.client.tasks.get(by_image.id)
    assert task.status == "completed", task.error
    *runs, comparison = task.verification.further_runs
    assert comparison.compares == [task.id, *(run.id for run in runs)]
    assert (comparison.phase, comparison.error) == ("completed", None)
    assert comparison.cost > 0
    assert task.verification.verdict == "agreed"
    assert [run.verdict for run in runs] == ["agreed"]
    assert len({task.node_id, comparison.node_id, *(run.node_id for run in runs)}) == 3
    (greeting,) = devnet.client.tasks.download(task.id, devnet.data / "got")
    own = devnet.node_name(task.node_id).removeprefix("node-")
    assert greeting.read_text() == f"hello from node {own}\n"


def verdicts(devnet: Devnet, task: Task) -> dict[str, str | None]:
    found = {devnet.node_name(task.node_id): task.verification.verdict}
    for run in task.verification.further_runs:
        found[devnet.node_name(run.node_id)] = run.verdict
    return found
