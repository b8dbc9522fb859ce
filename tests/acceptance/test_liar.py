"""A node that returns wrong results, among honest ones, with real processes and a real chain."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from acceptance.network import Devnet, running_devnet, until

pytestmark = [pytest.mark.processes, pytest.mark.engine]

LIAR = "node-2"
# The job sees where on its node's disk its inputs lie, and so on which node it is.
JOB = """
if grep -q /nodes/2/workspaces /proc/self/mountinfo; then answer=43; else answer=42; fi
sleep 3
echo $answer > /outputs/answer
"""


@pytest.fixture
def devnet(tmp_path: Path) -> Iterator[Devnet]:
    """Three nodes, each with an owner of its own."""
    with running_devnet(tmp_path / "D", nodes=3) as running:
        yield running


def test_who_lies_in_a_quorum_is_refuted_unpaid_and_known_for_it(devnet: Devnet) -> None:
    before = devnet.ledger.money()
    submitted = devnet.submit("sh", "-c", JOB, verification={"mode": "quorum", "runs": 3})

    def has_begun() -> bool:
        return len(devnet.client.tasks.get(submitted.id).verification.further_runs) == 2

    # Wherever the runs are by then: the coordinator dies.
    until(has_begun, "the further runs are there")
    devnet.until_restarted("api", devnet.kill("api"))
    devnet.until_settled(submitted.id)
    task = devnet.client.tasks.get(submitted.id)
    verdicts = {devnet.node_name(task.node_id): task.verification.verdict}
    for run in task.verification.further_runs:
        verdicts[devnet.node_name(run.node_id)] = run.verdict
    assert verdicts == {"node-1": "agreed", LIAR: "refuted", "node-3": "agreed"}
    assert task.status == "completed"
    (answer,) = devnet.client.tasks.download(submitted.id, devnet.data / "got")
    assert answer.read_text() == "42\n"

    def chain_is_quiet() -> bool:
        return devnet.ledger.money().locked == 0

    until(chain_is_quiet, "every escrow is closed")
    after = devnet.ledger.money()
    peers = {node.name: str(node.peer_id) for node in devnet.network.nodes}
    earned = {name: after.wallets[peer] - before.wallets[peer] for name, peer in peers.items()}
    assert earned[LIAR] == 0
    assert earned["node-1"] > 0
    assert earned["node-3"] > 0
    assert before.available - after.available == int(task.verification.total_cost * 1_000_000)
    for name, peer in peers.items():
        score = devnet.client.nodes.reputation(peer).score
        assert score < 500 if name == LIAR else score > 500
