"""kill -9 of every process while a job runs: it completes, is paid once, and no other lease ends."""

from collections.abc import Callable

import pytest

from .market import Market, alive, kill, until

pytestmark = [pytest.mark.engine, pytest.mark.processes]

_SECONDS = 7
_WORK = f"""
import time
for step in range({_SECONDS * 2}):
    print('NEUROGRID_PROGRESS', round(step / {_SECONDS * 2}, 2), 'step', step, flush=True)
    time.sleep(0.5)
open('/outputs/steps.txt', 'w').write('{_SECONDS * 2}')
"""


def _winner(market: Market, node_id: str) -> int:
    return market.pid_of_node(node_id)


VICTIMS: dict[str, Callable[[Market, str], int]] = {
    "node": _winner,
    "api": lambda market, _: int(market.network["coordinator"]["api_pid"]),
    "market": lambda market, _: int(market.network["coordinator"]["market_pid"]),
    "ledger": lambda market, _: int(market.network["ledger_pid"]),
}


@pytest.mark.parametrize("victim", VICTIMS)
def test_the_job_completes_and_is_paid_once(market: Market, victim: str) -> None:
    job = ["python3", "-c", _WORK]
    task_id, bystander_id = market.submit(job), market.submit(job)
    task = market.running(task_id)
    market.running(bystander_id)
    pid = VICTIMS[victim](market, task["node_id"])
    kill(pid)
    ended = [market.settled(task_id, 120), market.settled(bystander_id, 120)]
    for task in ended:
        assert task["phase"] == "completed", task["error"]
        [lease] = task["leases"]
        assert lease["paid"] == task["cost_usdc"] != "0.00"
        log = market.call("GET", f"/tasks/{task['id']}/logs").json()["data"]["text"]
        lines = log.splitlines()
        assert len(lines) == len(set(lines)) == _SECONDS * 2, "no line lost, none twice"
    restarted = until(
        lambda: new if (new := VICTIMS[victim](market, task["node_id"])) != pid else None,
        f"{victim} is restarted",
        30,
    )
    assert alive(restarted)
