"""The create request: what it always contains, and what can never get into it."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurogrid_marketplace.gang import GangMember, GangPlace
from neurogrid_marketplace.identity import peer_id_of
from neurogrid_marketplace.network import Network
from neurogrid_node.container.profile import create_arguments, profile_report
from neurogrid_node.container.seccomp import ALLOWED_SYSCALLS, seccomp_json, seccomp_profile
from neurogrid_node.container.spec import (
    ContainerSpec,
    ImageInfo,
    RenderNode,
    SpecError,
    is_reserved_variable,
)

MIB = 1 << 20
GPU = "GPU-00000000-1111-2222-3333-444444444444"
IMAGE = ImageInfo("app:1", "sha256:" + "a" * 64, "sha256:" + "b" * 64, 1)
SPEC = ContainerSpec(
    lease_id="lease_0123456789abcdef0123456789abcdef",
    node_id="12D3KooWNode",
    image=IMAGE,
    command=("python3", "-c", "print()"),
    environment=(("SEED", "1"),),
    cpu_millis=1500,
    memory_bytes=256 * MIB,
    pids=128,
    disk_bytes=64 * MIB,
    inputs_path=Path("/data/l/inputs"),
    outputs_path=Path("/data/l/disk/outputs"),
)


def host(spec: ContainerSpec) -> dict[str, Any]:
    configuration: dict[str, Any] = create_arguments(spec)["HostConfig"]
    return configuration


def test_the_hardening_is_always_on() -> None:
    request = create_arguments(SPEC)
    assert request["User"] == "65534:65534"
    assert request["NetworkDisabled"]
    assert request["Healthcheck"] == {"Test": ["NONE"]}
    configuration = request["HostConfig"]
    expected = {
        "CapDrop": ["ALL"],
        "Privileged": False,
        "ReadonlyRootfs": True,
        "NetworkMode": "none",
        "IpcMode": "private",
        "CgroupnsMode": "private",
        "Init": True,
        "RestartPolicy": {"Name": "no"},
        "AutoRemove": False,
        "PublishAllPorts": False,
        "DeviceRequests": [],
    }
    assert {name: configuration[name] for name in expected} == expected
    assert "no-new-privileges:true" in configuration["SecurityOpt"]
    assert f"seccomp={seccomp_json()}" in configuration["SecurityOpt"]
    dangerous = {"Binds", "Devices", "CapAdd", "PortBindings", "ExtraHosts", "VolumesFrom", "Links"}
    assert not dangerous & configuration.keys()


def test_limits_are_what_was_asked_for_and_swap_is_none() -> None:
    configuration = host(SPEC)
    assert configuration["Memory"] == configuration["MemorySwap"] == 256 * MIB
    assert configuration["NanoCpus"] == 1_500_000_000
    assert configuration["PidsLimit"] == 128
    assert configuration["ShmSize"] == 128 * MIB
    assert configuration["Tmpfs"] == {"/tmp": f"rw,nosuid,nodev,exec,mode=1777,size={64 * MIB}"}
    ulimits = {u["Name"]: (u["Soft"], u["Hard"]) for u in configuration["Ulimits"]}
    assert ulimits["core"] == (0, 0)
    assert ulimits["fsize"] == (256 * MIB, 256 * MIB), (
        "never below the memory: it holds in /dev/shm"
    )
    assert configuration["LogConfig"]["Config"] == {"max-size": "8m", "max-file": "2"}


def test_only_the_leases_directories_are_bound_and_inputs_read_only() -> None:
    mounts = host(SPEC)["Mounts"]
    assert [(m["Source"], m["Target"], m["ReadOnly"]) for m in mounts] == [
        ("/data/l/inputs", "/inputs", True),
        ("/data/l/disk/outputs", "/outputs", False),
    ]
    assert host(replace(SPEC, inputs_path=None, outputs_path=None))["Mounts"] == []


def test_only_the_listed_gpus_are_requested() -> None:
    spec = replace(SPEC, gpu_uuids=(GPU,))
    (request,) = host(spec)["DeviceRequests"]
    assert request["DeviceIDs"] == [GPU]
    environment = create_arguments(spec)["Env"]
    assert f"NVIDIA_VISIBLE_DEVICES={GPU}" in environment
    assert "NVIDIA_DRIVER_CAPABILITIES=compute,utility" in environment
    # Unset would mean "all" to the NVIDIA runtime with older CUDA images.
    assert "NVIDIA_VISIBLE_DEVICES=void" in create_arguments(SPEC)["Env"]


def test_amds_gpus_are_given_by_their_nodes_alone() -> None:
    nodes = (RenderNode("AMD-9b3f4c0a12d7e865", 128, (104,)), RenderNode("AMD-0000:83:00.0", 130))
    spec = replace(SPEC, render_nodes=nodes)
    configuration = host(spec)
    assert [
        (device["PathOnHost"], device["PathInContainer"], device["CgroupPermissions"])
        for device in configuration["Devices"]
    ] == [(path, path, "rw") for path in ("/dev/kfd", "/dev/dri/renderD128", "/dev/dri/renderD130")]
    assert configuration["GroupAdd"] == ["104"]
    assert configuration["DeviceRequests"] == []
    assert "NVIDIA_VISIBLE_DEVICES=void" in create_arguments(spec)["Env"]
    hardening = (
        "CapDrop",
        "Privileged",
        "ReadonlyRootfs",
        "SecurityOpt",
        "NetworkMode",
        "PidsLimit",
    )
    assert [configuration[name] for name in hardening] == [host(SPEC)[name] for name in hardening]
    report = profile_report(spec)
    assert report["gpu_uuids"] == ["AMD-9b3f4c0a12d7e865", "AMD-0000:83:00.0"]
    assert report["devices"] == ["/dev/kfd", "/dev/dri/renderD128", "/dev/dri/renderD130"]


@pytest.mark.parametrize(
    ("uuid", "minor", "groups"),
    [
        (GPU, 128, ()),
        ("AMD-1", 0, ()),
        ("AMD-1", 127, ()),
        ("AMD-1", 192, ()),
        ("AMD-../sda", 128, ()),
        ("AMD-1", 128, (0,)),
        ("AMD-1", 128, (-1,)),
    ],
)
def test_no_other_node_and_not_roots_group_are_given(
    uuid: str, minor: int, groups: tuple[int, ...]
) -> None:
    with pytest.raises(SpecError) as refusal:
        RenderNode(uuid, minor, groups)
    assert refusal.value.code == "bad_gpu"


def test_a_part_of_a_gpu_is_requested_by_its_own_uuid() -> None:
    part = "MIG-00000000-5555-6666-7777-000000000001"
    (request,) = host(replace(SPEC, gpu_uuids=(part,)))["DeviceRequests"]
    assert request["DeviceIDs"] == [part]


def test_labels_are_for_adoption_and_the_name_is_the_leases() -> None:
    assert create_arguments(SPEC)["Labels"] == {
        "io.neurogrid.lease": SPEC.lease_id,
        "io.neurogrid.node": SPEC.node_id,
    }
    assert SPEC.container_name == f"neurogrid-{SPEC.lease_id}"


def test_the_image_is_named_by_its_id_so_that_a_moving_tag_changes_nothing() -> None:
    assert create_arguments(SPEC)["Image"] == IMAGE.image_id


def test_an_images_variables_are_removed_where_they_reach_the_host() -> None:
    image = replace(IMAGE, environment=("LD_PRELOAD", "NVIDIA_REQUIRE_CUDA", "PATH", "CUDA_HOME"))
    environment = create_arguments(replace(SPEC, image=image))["Env"]
    # A bare name removes the image's variable (Engine API, ContainerConfig.Env).
    assert {entry for entry in environment if "=" not in entry} == {
        "LD_AUDIT",
        "LD_PRELOAD",
        "NVIDIA_REQUIRE_CUDA",
    }


@given(st.lists(st.sampled_from(["LD_PRELOAD", "NVIDIA_VISIBLE_DEVICES", "NVIDIA_X", "A", "PATH"])))
def test_no_reserved_variable_of_an_image_survives(names: list[str]) -> None:
    image = replace(IMAGE, environment=tuple(names))
    environment = create_arguments(replace(SPEC, image=image))["Env"]
    named = {entry.partition("=")[0] for entry in environment}
    assert {name for name in names if is_reserved_variable(name)} <= named
    assert [e for e in environment if e.startswith("NVIDIA_VISIBLE_DEVICES")] == [
        "NVIDIA_VISIBLE_DEVICES=void"
    ]


def test_a_gangs_member_knows_the_others_and_a_client_cannot_say_otherwise() -> None:
    members = tuple(GangMember(peer_id_of(bytes([number]) * 32)) for number in (1, 2))
    place = GangPlace("task_" + "a" * 32, 1, 1, members)
    given = (("NEUROGRID_RANK", "0"), ("MASTER_PORT", "7000"))
    spec = replace(SPEC, place=place, network_of="c" * 64, environment=given)
    environment = create_arguments(spec)["Env"]
    assert {"NEUROGRID_RANK=1", "RANK=1", "MASTER_PORT=7000"} <= set(environment)


def test_a_job_with_hosts_to_reach_is_told_of_its_proxy_and_its_report_lists_them() -> None:
    network = Network(("example.org", "*.example.com:8443"))
    spec = replace(
        SPEC, network=network, network_of="c" * 64, environment=(("https_proxy", "http://mine"),)
    )
    assert host(spec)["NetworkMode"] == "container:" + "c" * 64
    assert {**host(spec), "NetworkMode": "none"} == host(SPEC), "all else is as for every job"
    told = [entry for entry in create_arguments(spec)["Env"] if "proxy" in entry.lower()]
    assert told == [
        "HTTPS_PROXY=http://127.0.0.1:3128",
        "HTTP_PROXY=http://127.0.0.1:3128",
        "NEUROGRID_PROXY=http://127.0.0.1:3128",
        "NO_PROXY=localhost,127.0.0.1,::1",
        "http_proxy=http://127.0.0.1:3128",
        "https_proxy=http://mine",
        "no_proxy=localhost,127.0.0.1,::1",
    ]
    report = profile_report(spec)
    assert report["network"] == "proxy"
    assert report["network_allow"] == ["example.org", "*.example.com:8443"]
    assert profile_report(SPEC)["network_allow"] == []


def test_a_gangs_member_has_its_links_network_and_nobody_else_has_one() -> None:
    members = tuple(GangMember(peer_id_of(bytes([number]) * 32)) for number in (1, 2))
    place = GangPlace("task_" + "a" * 32, 1, 1, members)
    spec = replace(SPEC, place=place, network_of="c" * 64)
    assert host(spec)["NetworkMode"] == "container:" + "c" * 64
    assert profile_report(spec)["network"] == "gang"
    both = replace(spec, network=Network(("example.org",)))
    assert profile_report(both)["network"] == "gang and proxy"
    assert "rank-1,10.77.0.1" in next(e for e in create_arguments(both)["Env"] if "NO_P" in e)
    assert {**host(spec), "NetworkMode": "none"} == host(SPEC), "all else is as for every job"
    for wrong in (
        {"place": place},
        {"network_of": "c" * 64},
        {"network": Network(("example.org",))},
        {"place": place, "network_of": "host"},
    ):
        with pytest.raises(SpecError) as raised:
            replace(SPEC, **wrong)
        assert raised.value.code == "bad_network"


def test_an_images_volumes_become_sized_memory() -> None:
    image = replace(IMAGE, volumes=("/data", "/outputs", "/var/lib/x/"))
    tmpfs = host(replace(SPEC, image=image))["Tmpfs"]
    assert set(tmpfs) == {"/tmp", "/data", "/var/lib/x"}
    assert all(f"size={64 * MIB}" in options for options in tmpfs.values())


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"lease_id": "../x"}, "bad_lease_id"),
        ({"lease_id": ""}, "bad_lease_id"),
        ({"lease_id": "a\n"}, "bad_lease_id"),
        ({"node_id": "a=b"}, "bad_node_id"),
        ({"user": "0:0"}, "bad_user"),
        ({"user": "65534:0"}, "bad_user"),
        ({"user": "nobody"}, "bad_user"),
        ({"cpu_millis": 0}, "bad_cpu"),
        ({"memory_bytes": 1 << 20}, "bad_memory"),
        ({"pids": 1}, "bad_pids"),
        ({"pids": -1}, "bad_pids"),
        ({"pids": 10**6}, "bad_pids"),
        ({"disk_bytes": -1}, "bad_disk"),
        ({"command": ()}, "bad_command"),
        ({"command": ("",)}, "bad_command"),
        ({"command": ("a", "b\0c")}, "bad_command"),
        ({"command": ("a", "x" * (128 * 1024))}, "bad_command"),
        ({"environment": (("LD_PRELOAD", "x"),)}, "reserved_environment"),
        ({"environment": (("NVIDIA_VISIBLE_DEVICES", "all"),)}, "reserved_environment"),
        ({"environment": (("A=B", "x"),)}, "bad_environment"),
        ({"environment": (("A", "x"), ("A", "y"))}, "bad_environment"),
        ({"environment": (("A", "x\0"),)}, "bad_environment"),
        ({"environment": tuple((f"A{i}", "") for i in range(257))}, "bad_environment"),
        ({"gpu_uuids": ("all",)}, "bad_gpu"),
        ({"gpu_uuids": (GPU, GPU)}, "bad_gpu"),
        ({"outputs_path": Path("relative")}, "bad_path"),
        ({"image": replace(IMAGE, volumes=("/",))}, "image_volumes"),
        ({"render_nodes": (RenderNode("AMD-1", 128), RenderNode("AMD-2", 128))}, "bad_gpu"),
        ({"image": replace(IMAGE, volumes=("/proc/x",))}, "image_volumes"),
        ({"image": replace(IMAGE, volumes=("/a/../..",))}, "image_volumes"),
        ({"image": replace(IMAGE, volumes=tuple(f"/v{i}" for i in range(17)))}, "image_volumes"),
    ],
)
def test_what_we_never_create(changes: dict[str, Any], code: str) -> None:
    with pytest.raises(SpecError) as refusal:
        replace(SPEC, **changes)
    assert refusal.value.code == code


def test_the_report_is_plain_says_what_was_asked_and_no_host_path() -> None:
    report = profile_report(replace(SPEC, gpu_uuids=(GPU,)))
    assert json.loads(json.dumps(report)) == report
    assert "/data" not in json.dumps(report)
    assert report["profile"] == "neurogrid-hardened-1"
    assert report["capabilities_dropped"] == ["ALL"]
    assert report["no_new_privileges"]
    assert report["read_only_root"]
    assert report["network"] == "none"
    assert report["swap_bytes"] == 0
    assert report["gpu_uuids"] == [GPU]
    assert report["mounts"] == {"/inputs": "read-only", "/outputs": "writable"}


def test_the_filter_allows_by_name_and_refuses_the_rest() -> None:
    profile = seccomp_profile()
    assert profile["defaultAction"] == "SCMP_ACT_ERRNO"
    unconditional = {
        name
        for rule in profile["syscalls"]
        if rule["action"] == "SCMP_ACT_ALLOW" and not rule["args"]
        for name in rule["names"]
    }
    assert unconditional == ALLOWED_SYSCALLS
    dangerous = (
        "bpf clone clone3 io_uring_setup keyctl mount personality ptrace setns socket unshare"
    )
    assert not unconditional & set(dangerous.split())
    assert {"execve", "mmap", "openat", "futex", "exit_group"} <= unconditional


def test_the_filter_is_the_same_text_every_time() -> None:
    assert seccomp_json() == seccomp_json()
    assert json.loads(seccomp_json()) == seccomp_profile()
