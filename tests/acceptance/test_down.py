"""`devnet down` leaves no process, container, mount or socket."""

from pathlib import Path

import docker
import pytest

from .market import Market, alive

pytestmark = [pytest.mark.engine, pytest.mark.processes]


def test_down_leaves_nothing_even_with_a_running_job(tmp_path: Path) -> None:
    market = Market(tmp_path / "devnet")
    market.up(nodes=1)
    network = market.network
    task_id = market.submit(["sleep", "50"])
    market.running(task_id)
    pids = [
        network["ledger_pid"],
        network["supervisor_pid"],
        network["coordinator"]["api_pid"],
        network["coordinator"]["market_pid"],
        *(node["pid"] for node in network["nodes"]),
    ]
    assert all(alive(pid) for pid in pids)
    market.down()
    assert not [pid for pid in pids if alive(pid)]
    client = docker.from_env()
    try:
        left = client.containers.list(
            all=True, filters={"label": f"io.neurogrid.node={network['nodes'][0]['peer_id']}"}
        )
        assert left == []
    finally:
        client.close()
    assert str(market.data) not in Path("/proc/mounts").read_text()
    assert not [path for path in market.data.rglob("*") if path.is_socket()]
    market.down()  # and once more: nothing to do is no error
