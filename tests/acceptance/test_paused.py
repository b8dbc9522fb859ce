"""A job that stands still because nobody signs for it, whose node is killed meanwhile: it goes on, and its pause is free."""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import docker
import pytest

from acceptance.network import Devnet, running_devnet, until
from neurogrid.models import Task
from neurogrid_devnet.network_file import NodeEntry
from neurogrid_marketplace.offer import LeasePhase
from neurogrid_node.config_text import with_values
from neurogrid_node.container.spec import CONTAINER_NAME_PREFIX
from neurogrid_node.status import read_status

pytestmark = [pytest.mark.processes, pytest.mark.engine]

# Vouchers come every 10 s on a devnet; this much without one is too much.
_MAX_UNPAID_S = 15
_RUNS_FOR_S = 25
_SCRIPT = f"for i in $(seq {_RUNS_FOR_S}); do echo $i; sleep 1; done; echo done > /outputs/done"
_LOG = "".join(f"{number}\n" for number in range(1, _RUNS_FOR_S + 1))
# Longer than a tick of the node's, a look of its status, and a line of the job's.
_STILL_FOR_S = 5.0
# What a busy machine adds to each of the job's seconds.
_SLACK = 2.0


class JobContainer:
    """The engine's view of a lease's container, whoever drives it."""

    def __init__(self, lease_id: str) -> None:
        self._name = CONTAINER_NAME_PREFIX + lease_id
        self._client = docker.APIClient()

    @property
    def id_and_state(self) -> tuple[str, str]:
        """``paused``, ``running``; of which container."""
        found = self._client.inspect_container(self._name)
        return found["Id"], found["State"]["Status"]

    @property
    def words(self) -> str:
        """All that it has printed."""
        printed: bytes = self._client.logs(self._name)
        return printed.decode()

    def close(self) -> None:
        self._client.close()


@pytest.fixture
def market(tmp_path: Path) -> Iterator[Devnet]:
    """A node that takes no more than a short time's unpaid work, in a market that waits long for a silent one."""
    with running_devnet(tmp_path / "D", 1, "--dead-after-s", "120") as running:
        (node,) = running.network.nodes
        settings = Path(node.data) / "node.toml"
        settings.write_text(with_values(settings.read_text(), {"risk.max_unpaid_s": _MAX_UNPAID_S}))
        running.until_restarted(node.name, running.kill(node.name))
        yield running


@contextmanager
def nobody_signs(market: Devnet) -> Iterator[None]:
    """The coordinator's api, which signs vouchers for its clients, stands still."""
    api = market.pid("api")
    os.kill(api, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(api, signal.SIGCONT)


def phase_at(node: NodeEntry, pid: int) -> str:
    """What this daemon says of its only lease; "" where it says nothing yet."""
    status = read_status(Path(node.data))
    if status is None or status["pid"] != pid:
        return ""
    leases = status["leases"]
    assert isinstance(leases, list)
    return str(leases[0]["phase"]) if leases else ""


def test_a_job_that_is_paused_stays_so_without_its_node_and_goes_on_when_vouchers_come(
    market: Devnet,
) -> None:
    market.until_idle()
    before = market.ledger.money()
    task = market.until_phase(market.submit("sh", "-c", _SCRIPT).id, "running")
    (node,) = market.network.nodes
    container = JobContainer(task.leases[-1].id)
    try:
        until(lambda: container.words, "it prints")
        with nobody_signs(market):
            pid = market.pid(node.name)
            until(lambda: phase_at(node, pid) == LeasePhase.PAUSED, "it is paused")
            until(lambda: container.id_and_state[1] == "paused", "it stands still")
            paused_at_s = time.monotonic()
            stands, words = container.id_and_state, container.words
            assert 1 < len(words.splitlines()) < _RUNS_FOR_S

            market.kill(node.name)
            market.until_restarted(node.name, pid)
            pid = market.pid(node.name)
            until(lambda: phase_at(node, pid) == LeasePhase.PAUSED, "it has been adopted")
            time.sleep(_STILL_FOR_S)
            assert phase_at(node, pid) == LeasePhase.PAUSED
            assert (container.id_and_state, container.words) == (stands, words)
        stood_for_s = time.monotonic() - paused_at_s
        until(lambda: container.words != words, "it goes on")
        assert container.id_and_state == (stands[0], "running")
        pid_after = market.pid(node.name)
    finally:
        container.close()
    task = market.until_settled(task.id)
    assert pid_after == pid, "the node that came back has stayed"
    check_paid(market, task, stood_for_s)
    after = market.ledger.money()
    assert before.available - after.available == int(task.cost * 1_000_000)
    assert (after.locked, after.total) == (0, before.total)
    assert after.wallets[node.peer_id] > before.wallets[node.peer_id]


def check_paid(market: Devnet, task: Task, stood_for_s: float) -> None:
    """It has completed on its one lease, and what is paid is the time that it ran, without its pause."""
    assert task.status == "completed", task.error
    assert "".join(market.client.tasks.all_logs(task.id)) == _LOG
    assert [output.path for output in market.client.tasks.outputs(task.id)] == ["done"]
    (lease,) = task.leases
    assert lease.paid == task.cost
    paid_s = float(task.cost / lease.price_per_hour) * 3600
    # The second in which it was frozen ends by the clock, which runs on; and the engine takes a moment to freeze.
    assert _RUNS_FOR_S - 3 < paid_s < _RUNS_FOR_S * _SLACK
    assert task.started_at is not None
    assert task.completed_at is not None
    took_s = (task.completed_at - task.started_at).total_seconds()
    assert took_s - paid_s > stood_for_s - 1
