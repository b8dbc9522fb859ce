"""A job from submit to receipt, as a client sees it."""

import hashlib
import json
import subprocess
import sys

import pytest

from .market import Market, until

pytestmark = [pytest.mark.engine, pytest.mark.processes]

_SORT = """
lines = sorted(open('/inputs/words.txt').read().split())
print('NEUROGRID_PROGRESS 0.5 sorted')
open('/outputs/sorted.txt', 'w').write('\\n'.join(lines))
print('done', len(lines))
"""


def test_a_job_runs_on_the_winner_and_is_paid_exactly(market: Market) -> None:
    words = b"pear apple fig quince"
    sha256 = market.upload(words)
    before = market.account()["balance"]
    task_id = market.submit(
        ["python3", "-c", _SORT], inputs=[{"path": "words.txt", "sha256": sha256}]
    )
    task = market.settled(task_id)
    assert (task["phase"], task["exit_code"]) == ("completed", 0)
    outputs = market.call("GET", f"/tasks/{task_id}/outputs").json()["data"]["outputs"]
    expected = b"apple\nfig\npear\nquince"
    assert [(o["path"], o["sha256"]) for o in outputs] == [
        ("sorted.txt", hashlib.sha256(expected).hexdigest())
    ]
    fetched = market.call("GET", f"/tasks/{task_id}/outputs/sorted.txt")
    assert fetched.content == expected
    log = market.call("GET", f"/tasks/{task_id}/logs").json()["data"]["text"]
    assert "done 4" in log
    [lease] = task["leases"]
    assert lease["paid"] == task["cost_usdc"] != "0.00"
    after = market.account()["balance"]
    assert after["escrowed"] == before["escrowed"] == "0.00"


def test_the_receipt_is_valid_and_any_change_is_found(market: Market, tmp_path) -> None:  # type: ignore[no-untyped-def]  # pytest's path
    task_id = market.submit(["true"])
    market.settled(task_id)
    receipt = market.call("GET", f"/tasks/{task_id}/receipt").content
    file = tmp_path / "receipt.json"
    file.write_bytes(receipt)

    def verify() -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "neurogrid", "verify", str(file)]
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    valid = verify()
    assert valid.returncode == 0, valid.stderr
    assert "only claimed" in valid.stdout
    file.write_bytes(receipt.replace(b'"exit_code": 0', b'"exit_code": 1'))
    invalid = verify()
    assert invalid.returncode == 1
    assert "NOT VALID" in invalid.stdout + invalid.stderr


def test_the_losers_are_in_the_receipt_too(market: Market) -> None:
    until(lambda: _all_free(market) or None, "the nodes are free again", 30)
    task_id = market.submit(["true"])
    market.settled(task_id)
    receipt = json.loads(market.call("GET", f"/tasks/{task_id}/receipt").content)
    bids = [link for link in receipt["links"] if link["kind"] == "bid"]
    assert len(bids) == len(market.network["nodes"])


def test_a_running_job_is_cancelled_and_paid_for_what_it_ran(market: Market) -> None:
    task_id = market.submit(["sleep", "50"])
    market.running(task_id)
    assert market.call("DELETE", f"/tasks/{task_id}").status_code in (200, 202)
    task = market.settled(task_id)
    assert task["phase"] == "cancelled"
    [lease] = task["leases"]
    assert float(lease["paid"]) <= float(lease["max_cost"]) / 2


def _all_free(market: Market) -> bool:
    nodes = market.call("GET", "/nodes").json()["data"]["nodes"]
    return all(node["cpu_cores_free"] == node["cpu_cores"] for node in nodes)
