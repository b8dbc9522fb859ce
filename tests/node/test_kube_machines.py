"""The machines of a cluster: what is offered of each, and how one fails its trial."""

import json
from typing import Any

import pytest

from neurogrid_node.container.job_engine import Abilities
from neurogrid_node.container.spec import ContainerSpec, ImageInfo
from neurogrid_node.fleet.trial import judged
from neurogrid_node.kube.machines import ADVICE, machines
from node.kube_shapes import node

GIB = 1 << 30
ABLE = Abilities(
    *(False, False, False, False, False, True, False), own_network=False, own_pids=False
)


def test_a_machine_offers_what_its_kubelet_gives_pods() -> None:
    ash, oak = machines([node("oak", allocatable={"cpu": "2", "memory": "1Gi"}), node()], "amd64")
    assert (ash.machine_id, ash.cpu_millis, ash.memory_bytes) == ("ash", 7910, 16 * GIB)
    assert (oak.name, oak.cpu_millis, oak.is_ready) == ("oak", 2000, True)
    assert ash.addresses == ("10.0.0.5",)


@pytest.mark.parametrize(
    "parts",
    [
        {"conditions": [{"type": "Ready", "status": "Unknown"}]},
        {"conditions": []},
        {"spec": {"unschedulable": True}},
        {"spec": {"taints": [{"key": "owner", "effect": "NoSchedule"}]}},
        {"spec": {"taints": [{"key": "node.kubernetes.io/unreachable", "effect": "NoExecute"}]}},
        {"architecture": "arm64"},
        {"system": "windows"},
    ],
)
def test_who_is_away_closed_or_another_kind_takes_no_job(parts: dict[str, Any]) -> None:
    (machine,) = machines([node(**parts)], "amd64")
    assert not machine.is_ready


def test_who_only_would_rather_not_takes_jobs() -> None:
    (machine,) = machines(
        [node(spec={"taints": [{"key": "k", "effect": "PreferNoSchedule"}]})], "amd64"
    )
    assert machine.is_ready


def test_one_that_was_booted_is_another() -> None:
    (before,) = machines([node()], "amd64")
    (after,) = machines([node(boot="b-2")], "amd64")
    assert before.version != after.version


def test_gpus_are_counted_and_amounts_that_are_none_are_nothing() -> None:
    (machine,) = machines([node(allocatable={"nvidia.com/gpu": "4", "cpu": "many"})], "amd64")
    assert (machine.gpus, machine.cpu_millis, machine.memory_bytes) == (4, 0, 0)


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
# A pod has an interface whatever its policy lets through, and its processes are its machine's affair.
GOOD = {
    "uid": 65534,
    "capabilities": 0,
    "no_new_privileges": "1",
    "seccomp": "2",
    "interfaces": ["eth0", "lo"],
    "write_root": "EROFS",
    "user_namespace": "EPERM",
    "engine_socket": False,
    "memory_max": str(128 << 20),
    "pids_max": "max",
}
MORE = {
    "swap": 0,
    "cgroups": ["/"],
    "trace": "EPERM",
    "answer": "done",
    "gpus": [],
    "writable": [],
    "reached": [],
    "processes": 256,
}


def wrong(facts: dict[str, Any], more: dict[str, Any], *, shares: bool = True) -> tuple[str, ...]:
    text = f"{json.dumps(GOOD | facts)}\n{json.dumps(MORE | more)}\n"
    return judged(text, SPEC, ABLE, ADVICE, shares=shares)


def test_each_part_that_a_machine_lacks_is_named_with_what_to_do() -> None:
    assert wrong({}, {}) == ()
    for more, words in (
        ({"trace": "done"}, "/var/lib/kubelet/seccomp/neurogrid.json"),
        ({"cgroups": ["/kubepods/1"]}, "version 2"),
        ({"swap": 2048}, "swapBehavior"),
        ({"writable": ["/data"]}, "ignore_image_defined_volumes"),
        ({"reached": ["10.96.0.1 443"]}, "NetworkPolicy"),
        ({"processes": 1025}, "podPidsLimit"),
        ({"gpus": ["nvidia0"]}, "nvidia0"),
    ):
        (only,) = wrong({}, more)
        assert words in only
    (apart,) = wrong({}, {}, shares=False)
    assert "[engine] shared" in apart
    # What is not said was not seen.
    text = f"{json.dumps(GOOD)}\n{{}}\n"
    assert len(judged(text, SPEC, ABLE, ADVICE, shares=True)) == len(MORE)
