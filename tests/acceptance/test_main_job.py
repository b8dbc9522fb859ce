"""The main job: over REST as curl speaks it, and through the SDK and the command."""

import hashlib
import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from acceptance.network import JOB_IMAGE, Devnet, neurogrid, until
from neurogrid_devnet.demo_job import command, expected_outputs, prepare_input

pytestmark = [pytest.mark.processes, pytest.mark.engine]

TURNS = 4


def ended(http: httpx.Client, task_id: str) -> dict[str, Any]:
    """The task once it has ended."""

    def look() -> dict[str, Any] | None:
        task = http.get(f"/tasks/{task_id}").json()["data"]
        return task if task["status"] in ("completed", "failed", "cancelled") else None

    task = until(look, f"{task_id} has ended")
    assert isinstance(task, dict)
    return task


def test_a_job_over_rest_gives_its_outputs_back_by_hash(devnet: Devnet, tmp_path: Path) -> None:
    demo = prepare_input(tmp_path / "in")
    http = devnet.http
    inputs = []
    for file in demo.files():
        digest = hashlib.sha256(file.read_bytes()).hexdigest()
        answer = http.put(f"/artifacts/{digest}", content=file.read_bytes())
        assert answer.status_code in (200, 201), answer.text
        inputs.append({"path": file.name, "sha256": digest})
    answer = http.post(
        "/tasks",
        json={
            "name": "flags of the world",
            "type": "cpu",
            "docker_image": JOB_IMAGE,
            "command": command(TURNS),
            "inputs": inputs,
            "max_price_per_hour": "1.00",
            "timeout_seconds": 120,
        },
    )
    assert answer.status_code == 201, answer.text
    created = answer.json()
    assert created["success"] is True
    task_id = created["data"]["id"]
    task = ended(http, task_id)
    assert (task["status"], task["exit_code"]) == ("completed", 0), task["error"]
    listed = http.get(f"/tasks/{task_id}/outputs").json()["data"]["outputs"]
    hashes = {}
    for output in listed:
        content = http.get(f"/tasks/{task_id}/outputs/{output['path']}").content
        hashes[output["path"]] = hashlib.sha256(content).hexdigest()
        assert hashes[output["path"]] == output["sha256"]
    assert hashes == expected_outputs(demo, TURNS)
    log = http.get(f"/tasks/{task_id}/logs").json()["data"]["text"]
    assert "NEUROGRID_PROGRESS 1.00 done" in log


def test_money_moves_from_escrow_to_the_nodes_wallet_on_the_chain(devnet: Devnet) -> None:
    before = devnet.until_nothing_owed()
    task = devnet.until_settled(devnet.submit("sleep", "2").id)
    after = devnet.ledger.money()
    (lease,) = task.leases
    assert lease.paid == task.cost > 0
    paid = int(task.cost * 1_000_000)
    fee = after.treasury - before.treasury
    node = str(task.node_id)
    assert before.available - after.available == paid
    assert after.wallets[node] - before.wallets[node] == paid - fee
    assert fee == paid * 200 // 10_000
    assert after.locked == 0
    assert before.total == after.total
    transaction = devnet.ledger.transaction(str(lease.transaction))
    assert transaction is not None
    assert transaction.failure is None


def test_a_receipt_verifies_offline_and_no_byte_of_it_may_change(
    devnet: Devnet, tmp_path: Path
) -> None:
    task = devnet.until_settled(devnet.submit("true").id)
    receipt = tmp_path / "receipt.json"
    content = devnet.client.tasks.receipt(task.id)
    receipt.write_bytes(content)
    verified = neurogrid("verify", str(receipt), "--json")
    assert verified.returncode == 0, verified.stdout
    found = json.loads(verified.stdout)
    assert (found["valid"], found["task_id"]) == (True, task.id)
    assert found["transaction"] == task.leases[0].transaction

    def is_seen() -> bool:
        """The end of an escrow takes a few slots to be final."""
        return neurogrid("verify", str(receipt), "--rpc", devnet.network.ledger_url).returncode == 0

    until(is_seen, "the chain shows what the receipt claims")
    # Every byte is tried where it is cheap (tests/marketplace); here one through the command.
    at = len(content) // 2
    receipt.write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])
    refused = neurogrid("verify", str(receipt), "--json")
    assert refused.returncode == 1
    assert json.loads(refused.stdout)["reason"]


def test_the_command_submits_follows_and_prints(devnet: Devnet) -> None:
    network = str(devnet.data / "network.json")
    run = neurogrid(
        *("submit", JOB_IMAGE, "--network", network, "--max-price", "1.00", "--timeout", "60s"),
        *("--follow", "--", "sh", "-c", "echo one; echo two"),
    )
    assert run.returncode == 0, run.stderr
    assert run.stdout == "one\ntwo\n"


def test_both_nodes_bid_and_the_lower_score_wins_at_the_second_price(devnet: Devnet) -> None:
    devnet.until_idle()
    task = devnet.submit("true")
    devnet.client.tasks.wait(task.id)
    (auction,) = devnet.client.tasks.auctions(task.id)
    assert {bid.node_id for bid in auction.bids} == {n.peer_id for n in devnet.network.nodes}
    first, second = auction.bids
    assert (first.won, second.won) == (True, False)
    assert first.score <= second.score
    assert first.price_per_hour <= auction.price_per_hour <= second.score


def test_sealed_bids_are_in_the_receipt_and_the_start_is_held_against_the_clock(
    devnet: Devnet, tmp_path: Path
) -> None:
    task = devnet.until_settled(devnet.submit("true", sealed_bids=True).id)
    auction = devnet.client.tasks.auctions(task.id)[-1]
    assert auction.sealed_bids
    assert auction.started_after_seconds
    assert task.leases[-1].started_after_seconds == auction.started_after_seconds
    receipt = tmp_path / "receipt.json"
    receipt.write_bytes(devnet.client.tasks.receipt(task.id))
    verified = neurogrid("verify", str(receipt), "--json")
    assert verified.returncode == 0, verified.stdout
    assert "sealed_bids" in verified.stdout
    kinds = {link["kind"] for link in json.loads(receipt.read_text())["links"]}
    assert {"commit", "reveal", "bid"} <= kinds


def test_progress_comes_while_the_job_runs(devnet: Devnet) -> None:
    script = "for i in 1 2 3; do echo NEUROGRID_PROGRESS 0.${i}5 part $i; sleep 1.2; done"
    task = devnet.submit("sh", "-c", script)
    seen = [
        (update.progress, update.progress_note)
        for update in devnet.client.tasks.stream(task.id)
        if update.type == "task.progress"
    ]
    assert (15.0, "part 1") in seen
    assert (25.0, "part 2") in seen
    assert seen == sorted(seen)


def test_a_cancelled_job_ends_at_once_and_is_paid_for_what_it_ran(devnet: Devnet) -> None:
    # For longer than anybody here waits.
    task = devnet.submit("sleep", "600", timeout_seconds=900)
    devnet.until_phase(task.id, "running")
    assert devnet.client.tasks.cancel(task.id).result in ("cancelling", "cancelled")
    task = devnet.until_settled(task.id)
    assert task.status == "cancelled"
    assert task.leases[0].paid == task.cost


def test_a_job_reaches_neither_the_network_nor_the_host(devnet: Devnet) -> None:
    script = (
        "import os, socket\n"
        "def reach(address):\n"
        "    try: socket.create_connection(address, 2); return 'reached'\n"
        "    except OSError: return 'unreachable'\n"
        f"print(reach(('127.0.0.1', {devnet.network.api_url.rpartition(':')[2]})))\n"
        "print(reach(('10.0.0.1', 53)), os.path.exists('/var/run/docker.sock'), os.getuid())\n"
        "print(sorted(os.listdir('/inputs')), sorted(os.listdir('/outputs')))\n"
    )
    task = devnet.submit("python", "-c", script)
    devnet.client.tasks.wait(task.id)
    log = "".join(devnet.client.tasks.all_logs(task.id))
    assert log == "unreachable\nunreachable False 65534\n[] []\n"
