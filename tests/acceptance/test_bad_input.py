"""What is wrong is said with a code, costs nobody anything, and leaves nothing behind."""

from typing import Any

import httpx
import pytest

from acceptance.network import Devnet
from engine import registry
from neurogrid.models import Task

pytestmark = [pytest.mark.processes, pytest.mark.engine]

TASK: dict[str, Any] = {
    "docker_image": "neurogrid/job:1",
    "command": ["true"],
    "max_price_per_hour": "1.00",
    "timeout_seconds": 60,
}
# It stays a moment after the refusal: of a job that ends within milliseconds of it the node may see only the exit.
FORKS = """
import os, sys, time
try:
    for _ in range(400):
        if os.fork() == 0:
            time.sleep(20)
            os._exit(0)
except OSError:
    time.sleep(2)
    sys.exit(1)
"""
HOG = "x = bytearray(300_000_000)\nimport time; time.sleep(20)"


def refusal(answer: httpx.Response) -> tuple[int, str]:
    """Status and code of an error that looks as every error does."""
    body = answer.json()
    assert body["success"] is False
    assert set(body["error"]) == {"code", "message", "type", "details"}
    assert body["error"]["message"]
    return answer.status_code, body["error"]["code"]


@pytest.mark.parametrize(
    ("changes", "status", "code"),
    [
        ({"resource_requirements": {"cpu_cores": 999}}, 409, "NODE_UNAVAILABLE"),
        ({"type": "gpu"}, 409, "NODE_UNAVAILABLE"),
        ({"regions": ["atlantis"]}, 409, "NODE_UNAVAILABLE"),
        ({"max_price_per_hour": "0.000001"}, 409, "NODE_UNAVAILABLE"),
        (
            {"max_price_per_hour": "100000", "timeout_seconds": 36_000},
            402,
            "INSUFFICIENT_CREDITS",
        ),
        ({"max_price_per_hour": "-1"}, 422, "INVALID_REQUEST"),
        ({"docker_image": "no such name!"}, 422, "INVALID_REQUEST"),
        ({"timeout_seconds": 0}, 422, "INVALID_REQUEST"),
        ({"comand": ["true"]}, 422, "INVALID_REQUEST"),
        ({"inputs": [{"path": "x", "sha256": "0" * 64}]}, 422, "INVALID_REQUEST"),
    ],
)
def test_a_task_that_cannot_be_is_refused_before_anything_is_stored(
    devnet: Devnet, changes: dict[str, Any], status: int, code: str
) -> None:
    http = devnet.http
    known = http.get("/tasks").json()["data"]["total"]
    assert refusal(http.post("/tasks", json={**TASK, **changes})) == (status, code)
    assert http.get("/tasks").json()["data"]["total"] == known


def test_why_no_node_fits_is_explained_with_what_would_help(devnet: Devnet) -> None:
    devnet.until_idle()
    answer = devnet.http.post("/tasks", json={**TASK, "max_price_per_hour": "0.000001"})
    explanation = answer.json()["error"]["details"]["explanation"]
    assert (explanation["nodes"], explanation["matching"]) == (2, 0)
    relaxation = explanation["relaxation"]
    assert (relaxation["constraint"], relaxation["nodes"]) == ("max_price", 2)
    assert [step["nodes"] for step in relaxation["steps"]] == [1, 2]
    assert len(explanation["nearest"]) == 2
    clearing = explanation["clearing_price_per_hour"]
    cheap = {**TASK, "max_price_per_hour": clearing}
    accepted = devnet.http.post("/match/explain", json=cheap).json()["data"]
    assert accepted["matching"] >= 1


def test_a_body_that_is_no_json_or_too_large_is_refused(devnet: Devnet) -> None:
    http = devnet.http
    headers = {"Content-Type": "application/json"}
    assert refusal(http.post("/tasks", content=b"{", headers=headers)) == (400, "INVALID_REQUEST")
    large = b'{"name": "' + b"x" * 2_000_000 + b'"}'
    assert refusal(http.post("/tasks", content=large, headers=headers)) == (
        413,
        "PAYLOAD_TOO_LARGE",
    )


@pytest.mark.parametrize("key", ["ng_nonsense", "x" * 5000])
def test_a_bad_key_opens_nothing(devnet: Devnet, key: str) -> None:
    url = f"{devnet.network.api_url}/api/v1/tasks"
    answer = httpx.post(url, json=TASK, headers={"Authorization": f"Bearer {key}"})
    assert refusal(answer) == (401, "UNAUTHORIZED")


def test_what_belongs_to_nobody_is_not_found(devnet: Devnet) -> None:
    for path in ("", "/logs", "/outputs", "/receipt", "/auctions", "/events"):
        answer = devnet.http.get(f"/tasks/task_{'0' * 32}{path}")
        assert refusal(answer) == (404, "NOT_FOUND"), path


def doomed(missing_image: str) -> dict[str, tuple[list[str], dict[str, Any]]]:
    """The code that a job fails with -> its command, and what else it asks for."""
    return {
        "COMMAND_NOT_FOUND": (["/bin/nonsense"], {}),
        "PIDS_EXCEEDED": (["python", "-c", FORKS], {}),
        "MEMORY_EXCEEDED": (["python", "-c", HOG], {}),
        "DISK_EXCEEDED": (["dd", "if=/dev/zero", "of=/outputs/x", "bs=1M", "count=100"], {}),
        "TIME_EXCEEDED": (["sleep", "60"], {"timeout_seconds": 1}),
        "OUTPUT_REFUSED": (["ln", "-s", "/etc/passwd", "/outputs/x"], {}),
        "IMAGE_NOT_FOUND": (["true"], {"docker_image": missing_image}),
        # Port 1 is reserved; nothing listens there.
        "PULL_STALLED": (["true"], {"docker_image": "127.0.0.1:1/some/image:1"}),
    }


@pytest.fixture(scope="module")
def failed(devnet: Devnet) -> dict[str, Task]:
    """Jobs that fail, by code, after their money has come back: nobody was charged.

    They run beside each other, because a registry that cannot be reached is tried for most of a minute.
    """
    devnet.until_idle()
    before = devnet.until_nothing_owed()
    needs = {"cpu_cores": 0.25, "ram_gb": 0.2, "storage_gb": 0.05}
    with registry.serve() as served:
        host = served.reference.split("/")[0]
        submitted = {
            code: devnet.submit(*command, resource_requirements=needs, **arguments).id
            for code, (command, arguments) in doomed(f"{host}/there/is/none:1").items()
        }
        ended = {code: devnet.until_settled(task_id) for code, task_id in submitted.items()}
    assert devnet.ledger.money() == before
    return ended


@pytest.mark.parametrize("code", doomed(""))
def test_a_job_that_cannot_be_done_fails_with_a_code_and_costs_nothing(
    failed: dict[str, Task], code: str
) -> None:
    task = failed[code]
    assert task.status == "failed"
    assert task.error is not None
    assert task.error.code == code
    assert task.error.message
    assert task.error.advice
    assert task.cost == 0
    assert all(lease.paid == 0 for lease in task.leases)
    if code == "PULL_STALLED":
        assert "registry" in task.error.advice
    else:
        assert len(task.leases) == 1, "what is the job's own fault is not tried again"


def test_a_program_that_fails_is_paid_for_what_it_ran(devnet: Devnet) -> None:
    task = devnet.until_settled(devnet.submit("sh", "-c", "sleep 1; exit 3").id)
    assert task.error is not None
    assert (task.status, task.error.code, task.exit_code) == ("failed", "EXIT_NONZERO", 3)
    assert task.cost > 0
    assert task.leases[0].paid == task.cost
