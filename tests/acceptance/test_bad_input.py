"""Bad input end to end: a clear code, nothing lost, nobody charged."""

from typing import Any

import pytest

from engine import registry

from .market import Market

pytestmark = [pytest.mark.engine, pytest.mark.processes]

_MEMORY = "x = []\nwhile True: x.append(bytearray(10 << 20))"
_DISK = "f = open('/outputs/big', 'wb')\nwhile True: f.write(bytes(1 << 20))"
_PIDS = """
import os, time
try:
    while True:
        if os.fork() == 0:
            time.sleep(5)
            os._exit(0)
except OSError:
    time.sleep(2.5)
    raise SystemExit(1)
"""


@pytest.mark.parametrize(
    ("code", "changes"),
    [
        ("COMMAND_NOT_FOUND", {"command": ["/no/such/program"]}),
        ("MEMORY_EXCEEDED", {"command": ["python3", "-c", _MEMORY]}),
        ("PIDS_EXCEEDED", {"command": ["python3", "-c", _PIDS]}),
        ("DISK_EXCEEDED", {"command": ["python3", "-c", _DISK]}),
        ("TIME_EXCEEDED", {"command": ["sleep", "30"], "timeout_seconds": 2}),
        ("OUTPUT_REFUSED", {"command": ["ln", "-s", "/etc/passwd", "/outputs/link"]}),
    ],
)
def test_a_job_that_goes_beyond_its_limits_is_not_charged(
    market: Market, code: str, changes: dict[str, Any]
) -> None:
    task_id = market.submit(changes.pop("command", ["true"]), **changes)
    task = market.settled(task_id)
    assert task["phase"] == "failed"
    assert task["error"]["code"] == code, task["error"]
    assert task["error"]["advice"]
    assert [lease["paid"] for lease in task["leases"]] == ["0.00"]


def test_an_image_that_its_registry_does_not_have_is_not_charged(market: Market) -> None:
    with registry.serve() as served:
        host = served.reference.split("/")[0]
        task_id = market.submit(["true"], docker_image=f"{host}/there/is/none:1")
        task = market.settled(task_id)
    assert task["error"]["code"] == "IMAGE_NOT_FOUND", task["error"]
    [lease] = task["leases"]
    assert lease["paid"] == "0.00"


def test_a_program_that_fails_by_itself_says_its_exit_code(market: Market) -> None:
    task_id = market.submit(["python3", "-c", "import sys; print('no'); sys.exit(3)"])
    task = market.settled(task_id)
    assert (task["error"]["code"], task["exit_code"]) == ("EXIT_NONZERO", 3)


@pytest.mark.parametrize(
    ("status", "code", "changes"),
    [
        (409, "NODE_UNAVAILABLE", {"resource_requirements": {"cpu_cores": 512}}),
        (409, "NODE_UNAVAILABLE", {"max_price_per_hour": "0.000001"}),
        (402, "INSUFFICIENT_CREDITS", {"max_price_per_hour": "1000000.00"}),
        (422, "INVALID_REQUEST", {"docker_image": "NOT AN IMAGE"}),
        (422, "INVALID_REQUEST", {"max_price_per_hour": "-1"}),
    ],
)
def test_what_can_be_known_before_is_refused_at_the_door(
    market: Market, status: int, code: str, changes: dict[str, Any]
) -> None:
    answer = market.call("POST", "/tasks", json=market.job(["true"], **changes))
    assert answer.json()["error"]["code"] == code, answer.text
    assert answer.status_code == status
    if code == "NODE_UNAVAILABLE":
        assert answer.json()["error"]["details"]


def test_the_door_refuses_what_is_no_request(market: Market) -> None:
    malformed = market.call(
        "POST", "/tasks", content=b"{", headers={"content-type": "application/json"}
    )
    assert malformed.json()["error"]["code"] == "INVALID_REQUEST"
    oversized = market.call("POST", "/tasks", json=market.job(["true"], name="x" * 2_000_000))
    assert oversized.json()["error"]["code"] == "PAYLOAD_TOO_LARGE"
    stranger = market.call("GET", "/tasks", headers={"Authorization": "Bearer ng_nobody"})
    assert (stranger.status_code, stranger.json()["error"]["code"]) == (401, "UNAUTHORIZED")
