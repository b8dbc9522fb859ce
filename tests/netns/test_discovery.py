"""A node that lists no coordinator: it finds one by each source, earns, and finds it again when all are dead."""

import json
import os
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from acceptance.network import until
from netns.market import MEADOW, Finder, World
from neurogrid_node.market.found import FILE_NAME

pytestmark = [pytest.mark.processes, pytest.mark.engine, pytest.mark.namespaces]

# A node and its discovery process load libp2p one after the other, on a machine that may be busy.
_PATIENCE_S = 240.0
_NOWHERE = "/ip4/198.51.100.1/tcp/9/p2p/12D3KooWJWoaqZhDaoEFshF7Rh1bpY9ohihFhzcW6d69Lr2NASuq"


@pytest.fixture(scope="module")
def finder(world: World) -> Finder:
    """A node in the meadow."""
    return world.make_finder()


@pytest.mark.parametrize("source", ["rendezvous", "dht", "mdns"])
def test_a_node_that_lists_nobody_finds_a_coordinator_and_earns(
    world: World, finder: Finder, source: str
) -> None:
    where = {"mdns": True} if source == "mdns" else {source: [world.meeting_place]}
    (finder.data / FILE_NAME).unlink(missing_ok=True)
    finder.configure({f"discovery.{key}": value for key, value in where.items()})
    with finder.running() as pid:
        until(finder.is_joined, f"it is found by {source}", _PATIENCE_S)
        task = world.submit(world.near, "sh", "-c", "echo out of the blue; sleep 2", region=MEADOW)
        world.until_task(world.near, task.id, lambda task: task.started_at is not None, "starts")
        # What talks to strangers may die at any time: nothing hangs on it.
        os.kill(discovery_of(pid), signal.SIGKILL)
        task = world.until_task(world.near, task.id, lambda task: task.settled, "is settled")
        assert (task.status, task.node_id) == ("completed", finder.node_id), task.error
        assert world.log(world.near, task.id).strip() == "out of the blue"
        shown = json.loads((finder.data / "status.json").read_text())["coordinators"]
        assert [(each["connected"], each["found_by"]) for each in shown] == [(True, source)]


def test_with_every_source_dead_it_joins_those_of_before(world: World, finder: Finder) -> None:
    assert (finder.data / FILE_NAME).exists()
    finder.configure({"discovery.rendezvous": [_NOWHERE], "discovery.dht": [_NOWHERE]})
    with finder.running():
        until(finder.is_joined, "it is joined again", _PATIENCE_S)


def test_the_command_says_who_is_there_and_who_would_not_be_joined_and_why(
    world: World, finder: Finder
) -> None:
    finder.configure(
        {
            "discovery.rendezvous": [world.meeting_place],
            "discovery.dht": [_NOWHERE],
            "discovery.mdns": True,
        }
    )
    seen = discovered(finder)
    (near,) = seen["coordinators"]
    assert world.near.node_address.endswith(near["coordinator"])
    assert sorted(near["sources"]) == ["mdns", "rendezvous"]
    assert (near["may_join"], near["why_not"], near["connected"]) == (True, "", False)
    assert {"address": world.near.node_address, "reachable": True, "problem": ""} in near[
        "addresses"
    ]
    problems = {each["source"]: each["problem"] for each in seen["sources"]}
    assert "no node of the DHT was reached" in problems["dht"]
    assert (problems["mdns"], problems["rendezvous"]) == ("", "")
    finder.configure(
        {"discovery.rendezvous": [world.meeting_place], "discovery.join": [finder.node_id]}
    )
    (near,) = discovered(finder)["coordinators"]
    assert near["may_join"] is False
    assert "not on the list [discovery] join" in near["why_not"]


def discovered(finder: Finder) -> dict[str, list[dict[str, Any]]]:
    """What `neurogrid-node discover --json` says."""
    done = subprocess.run(
        finder.command("discover", "--json", "--timeout", "120"),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    found: dict[str, list[dict[str, Any]]] = json.loads(done.stdout)
    return found


def discovery_of(node: int) -> int:
    """The process id of a node's discovery process."""

    def look() -> int:
        for process in Path("/proc").iterdir():
            try:
                parent = (process / "stat").read_text().rpartition(")")[2].split()[1]
                if int(parent) == node and b"neurogrid_p2p.discovery" in (
                    process / "cmdline"
                ).read_bytes().split(b"\0"):
                    return int(process.name)
            except (OSError, IndexError):
                continue  # no process, or one that has ended
        return 0

    return int(until(look, "it has one"))
