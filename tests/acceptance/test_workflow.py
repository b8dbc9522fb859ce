"""A workflow on real nodes: one container's output is the other's input."""

import pytest

from acceptance.network import JOB_IMAGE, MAX_PRICE, PATIENCE_S, Devnet
from neurogrid import TaskOutput

pytestmark = [pytest.mark.processes, pytest.mark.engine]

JOB = {
    "docker_image": JOB_IMAGE,
    "max_price_per_hour": MAX_PRICE,
    "timeout_seconds": 60,
    "resource_requirements": {"cpu_cores": 0.5, "ram_gb": 0.2, "storage_gb": 0.05},
}


def test_an_output_reaches_the_task_that_waits_for_it_though_the_coordinator_is_killed(
    devnet: Devnet,
) -> None:
    client = devnet.client
    workflow = client.workflows.submit(
        {
            "write": {**JOB, "command": ["sh", "-c", "sleep 3; echo a word > /outputs/word"]},
            "read": {
                **JOB,
                "command": ["sh", "-c", "cat /inputs/it > /outputs/copy"],
                "inputs": {"it": TaskOutput("write", "word")},
            },
            "broken": {**JOB, "command": ["sh", "-c", "exit 3"], "depends_on": ["read"]},
            "never": {**JOB, "command": ["true"], "depends_on": ["broken"]},
        }
    )
    devnet.until_phase(workflow.tasks[0].id, "running")
    before = devnet.kill("api")
    devnet.until_restarted("api", before)
    done = client.workflows.wait(workflow.id, timeout_s=PATIENCE_S)
    errors = {task.key: task.error.code if task.error else "" for task in done.tasks}
    assert errors == {
        "write": "",
        "read": "",
        "broken": "EXIT_NONZERO",
        "never": "DEPENDENCY_FAILED",
    }
    ids = {task.key: task.id for task in done.tasks}
    (written,) = client.tasks.outputs(ids["write"])
    (copied,) = client.tasks.outputs(ids["read"])
    assert copied.sha256 == written.sha256
    for key in ("write", "read", "broken"):
        devnet.until_settled(ids[key])
    assert client.tasks.get(ids["never"]).leases == []
    devnet.until_idle()
