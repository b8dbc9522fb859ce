"""The machines of a swarm: what is offered of each, and how one fails its trial."""

import json
from typing import Any

from neurogrid_marketplace.resources import Capacity
from neurogrid_node.container.job_engine import Abilities
from neurogrid_node.container.spec import LABEL_NODE, ContainerSpec, ImageInfo
from neurogrid_node.fleet.machines import capacity, summary
from neurogrid_node.fleet.trial import judged
from neurogrid_node.swarm.machines import ADVICE, machines

GIB = 1 << 30
ABLE = Abilities(
    gpus=False, freeze=False, links=False, hard_disk=False, usage=False, oom=False, logins=False
)
MOST = Capacity(0, 0, 7 * GIB)


def node(name: str, cores: int, gib: int, **changes: Any) -> dict[str, Any]:
    resources = {"NanoCPUs": cores * 10**9, "MemoryBytes": gib * GIB}
    return {
        "ID": f"id-{name}",
        "Version": {"Index": 4},
        "Spec": {"Availability": "active"},
        "Status": {"State": "ready"},
        "Description": {"Hostname": name, "Resources": resources | changes.pop("resources", {})},
    } | changes


def task(on: str, of: str, state: str = "running") -> dict[str, Any]:
    asked = {"NanoCPUs": 2 * 10**9, "MemoryBytes": GIB}
    return {
        "Labels": {},
        "NodeID": f"id-{on}",
        "Status": {"State": state},
        "Spec": {
            "ContainerSpec": {"Labels": {LABEL_NODE: of}},
            "Resources": {"Reservations": asked},
        },
    }


def test_a_machine_offers_what_the_system_and_the_owners_services_leave() -> None:
    nodes = [node("oak", 8, 32), node("ash", 4, 16)]
    tasks = [task("oak", "another"), task("oak", "another", "failed"), task("oak", "us")]
    ash, oak = machines(nodes, tasks, "us")
    assert (oak.name, oak.cpu_millis, oak.memory_bytes) == ("oak", 6000, 29 * GIB)
    assert (ash.cpu_millis, ash.memory_bytes) == (4000, 15 * GIB)
    assert capacity(ash, MOST) == Capacity(4000, 15 * GIB, 7 * GIB)
    assert capacity(ash, Capacity(3000, 2 * GIB, GIB)) == Capacity(3000, 2 * GIB, GIB)


def test_who_is_away_or_drained_is_not_ready_and_more_is_taken_than_there_is() -> None:
    drained = node("oak", 8, 32, Spec={"Availability": "drain"})
    away = node("ash", 1, 1, Status={"State": "down"})
    found = machines([drained, away], [task("ash", "another")], "us")
    assert [each.is_ready for each in found] == [False, False]
    assert (found[0].cpu_millis, found[0].memory_bytes) == (0, 0)


def test_gpus_are_counted_and_not_offered() -> None:
    gpus = [{"NamedResourceSpec": {"Kind": "gpu", "Value": f"GPU-{n}"}} for n in range(3)]
    (oak,) = machines([node("oak", 8, 32, resources={"GenericResources": gpus})], [], "us")
    assert oak.gpus == 3
    assert capacity(oak, MOST).gpus == ()


def test_the_line_for_people_names_who_is_offered() -> None:
    found = machines([node("oak", 8, 32), node("ash", 4, 16)], [], "us")
    offered = {"id-oak": capacity(found[1], MOST)}
    assert summary(found, offered) == "a fleet of 1: oak: 8 cores, 30.0 GiB memory; 1 not offered"


SPEC = ContainerSpec(
    lease_id="trial-1",
    node_id="node",
    image=ImageInfo("python", "sha256:" + "0" * 64, None, 1),
    command=None,
    environment=(),
    cpu_millis=500,
    memory_bytes=128 << 20,
    pids=32,
    disk_bytes=0,
)
GOOD = {
    "uid": 65534,
    "capabilities": 0,
    "no_new_privileges": "1",
    "seccomp": "2",
    "interfaces": ["lo"],
    "write_root": "EROFS",
    "user_namespace": "EPERM",
    "engine_socket": False,
    "memory_max": str(128 << 20),
    "pids_max": "32",
}
MORE = {
    "swap": 0,
    "cgroups": ["/"],
    "trace": "EPERM",
    "answer": "done",
    "gpus": [],
    "writable": [],
    "reached": [],
    "processes": 0,
}


def said(facts: dict[str, Any], more: dict[str, Any]) -> str:
    return f"{json.dumps(GOOD | facts)}\n{json.dumps(MORE | more)}\n"


def test_a_machine_that_holds_jobs_as_it_should() -> None:
    assert judged(said({}, {}), SPEC, ABLE, ADVICE, shares=True) == ()


def test_each_part_that_a_machine_lacks_is_named_with_what_to_do() -> None:
    def wrong(facts: dict[str, Any], more: dict[str, Any], *, shares: bool = True) -> str:
        (only,) = judged(said(facts, more), SPEC, ABLE, ADVICE, shares=shares)
        return only

    assert '"bridge": "none"' in wrong({"interfaces": ["eth0", "lo"]}, {})
    assert '"no-new-privileges": true' in wrong({"no_new_privileges": "0"}, {})
    assert '"seccomp-profile"' in wrong({}, {"trace": "done"})
    assert '"default-cgroupns-mode": "private"' in wrong({}, {"cgroups": ["/docker/1"]})
    assert "swapoff" in wrong({}, {"swap": 2048})
    assert "nvidia0" in wrong({}, {"gpus": ["nvidia0"]})
    assert "EACCES" in wrong({}, {"answer": "EACCES"})
    assert "/data" in wrong({}, {"writable": ["/data"]})
    assert "same path" in wrong({}, {}, shares=False)
    (nonsense,) = judged("Killed", SPEC, ABLE, ADVICE, shares=True)
    assert "nothing sensible" in nonsense
