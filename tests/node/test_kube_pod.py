"""A job's pod: held as the profile says, of the published shape, and what may not be changed about it."""

import copy
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from engine.kube_rules import check_changed_pod, check_new_pod, merge
from neurogrid_node.container.errors import EngineRefused
from neurogrid_node.container.spec import ContainerSpec, ImageInfo
from neurogrid_node.kube.pod import (
    GATE,
    LABEL_STOPPED,
    PodPlace,
    changed_on_the_way,
    check,
    literal,
    pod_body,
    pod_name,
    pod_report,
    told_to_end,
    told_to_start,
)
from neurogrid_node.kube.quantity import read_quantity

DIGEST = "sha256:" + "1" * 64
PLACE = PodPlace("files", Path("/srv/shared"), "", False, 86_460)
SPEC = ContainerSpec(
    lease_id="lease-1",
    node_id="12D3KooW",
    image=ImageInfo("images.example.com/a/b:1", DIGEST, DIGEST, 1),
    command=("echo", "$(HOME) $$"),
    environment=(("PRICE", "$5 $(HOME)"),),
    cpu_millis=2000,
    memory_bytes=256 << 20,
    pids=32,
    disk_bytes=1 << 20,
    inputs_path=Path("/srv/shared/n/lease-1/inputs"),
    outputs_path=Path("/srv/shared/n/lease-1/outputs"),
    machine="ash",
)


def body(spec: ContainerSpec = SPEC, place: PodPlace = PLACE) -> dict[str, Any]:
    return pod_body(spec, place)


def test_it_is_of_the_published_shape_and_meets_the_strictest_standard() -> None:
    check_new_pod(body(), "restricted")
    everything = replace(PLACE, runtime_class="kata", has_user_namespaces=True)
    check_new_pod(body(place=everything), "restricted")
    spec = body(place=everything)["spec"]
    assert (spec["runtimeClassName"], spec["hostUsers"]) == ("kata", False)


def test_nothing_of_the_profile_is_left_out() -> None:
    pod = body()
    spec = pod["spec"]
    (container,) = spec["containers"]
    assert spec["schedulingGates"] == [{"name": GATE}]
    assert spec["restartPolicy"] == "Never"
    assert spec["activeDeadlineSeconds"] == 86_460
    assert (spec["automountServiceAccountToken"], spec["enableServiceLinks"]) == (False, False)
    assert "imagePullSecrets" not in spec
    assert "finalizers" not in pod["metadata"]
    assert spec["securityContext"]["runAsUser"] == 65534
    assert spec["securityContext"]["seccompProfile"]["type"] == "Localhost"
    assert container["image"] == f"images.example.com/a/b@{DIGEST}"
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "privileged": False,
        "readOnlyRootFilesystem": True,
    }
    asked = container["resources"]
    assert asked["requests"] == asked["limits"]
    assert (asked["limits"]["cpu"], asked["limits"]["memory"]) == ("2000m", str(256 << 20))
    sizes = {
        mount["mountPath"]: volume["emptyDir"]["sizeLimit"]
        for volume in spec["volumes"]
        for mount in container["volumeMounts"]
        if volume["name"] == mount["name"] and "emptyDir" in volume
    }
    assert sizes == {"/tmp": str(64 << 20), "/dev/shm": str(128 << 20)}
    files = {m["mountPath"]: (m["subPath"], m["readOnly"]) for m in container["volumeMounts"][2:]}
    assert files == {
        "/inputs": ("n/lease-1/inputs", True),
        "/outputs": ("n/lease-1/outputs", False),
    }
    (term,) = spec["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"][
        "nodeSelectorTerms"
    ]
    assert term["matchFields"] == [{"key": "metadata.name", "operator": "In", "values": ["ash"]}]


def test_what_a_kubelet_would_put_in_is_left_as_the_client_wrote_it() -> None:
    (container,) = body()["spec"]["containers"]
    assert container["args"] == ["echo", "$$(HOME) $$$$"]
    variables = {each["name"]: each["value"] for each in container["env"]}
    assert variables["PRICE"] == "$$5 $$(HOME)"
    # An image's cannot be taken away, and are empty.
    assert variables["LD_PRELOAD"] == ""
    assert literal("no dollar") == "no dollar"
    (own,) = body(replace(SPEC, command=None))["spec"]["containers"]
    assert "args" not in own


@pytest.mark.parametrize(
    "changes",
    [
        {"gpu_uuids": ("GPU-1",)},
        {"machine": ""},
        {"node_id": "x" * 64},
        {"lease_id": "ends-with-a-dot."},
    ],
)
def test_what_a_pod_cannot_do_is_refused_before_anything_is_made(changes: dict[str, Any]) -> None:
    with pytest.raises(EngineRefused) as refusal:
        check(replace(SPEC, **changes))
    assert refusal.value.code == "not_by_this_engine"


def test_files_elsewhere_are_seen_by_no_machine() -> None:
    with pytest.raises(EngineRefused, match="not in /srv/shared") as refusal:
        body(replace(SPEC, inputs_path=Path("/var/lib/x")))
    assert refusal.value.code == "workspace_not_visible"


def test_a_name_that_no_pod_may_have_becomes_one() -> None:
    assert pod_name("neurogrid-lease-1") == "neurogrid-lease-1"
    odd = pod_name("neurogrid-Lease_1")
    assert odd.startswith("neurogrid-")
    assert odd == pod_name("neurogrid-Lease_1") != pod_name("neurogrid-lease_1")
    assert pod_name(odd) == odd
    check_new_pod(body(replace(SPEC, lease_id="Lease_1")), "restricted")


def test_it_is_started_and_ended_by_changes_that_a_server_takes() -> None:
    pod = body()
    started = merge(pod, told_to_start())
    check_changed_pod(pod, started)
    assert "schedulingGates" not in started["spec"]
    stopped = merge(started, told_to_end(7))
    check_changed_pod(started, stopped)
    check_changed_pod(stopped, merge(stopped, told_to_end(9)))
    assert stopped["metadata"]["labels"][LABEL_STOPPED] == "7"
    assert stopped["spec"]["activeDeadlineSeconds"] == 1


def test_the_receipt_says_what_is_asked_for_and_what_was_only_seen() -> None:
    report = pod_report(SPEC, PLACE)
    assert report["profile"] == "neurogrid-kubernetes-1"
    assert (report["machine"], report["image_digest"]) == ("ash", DIGEST)
    assert set(report["seen_on_trial"]) == {"network", "cgroup_namespace", "swap_bytes", "pids"}
    # What nobody holds there is not claimed.
    assert not {"network", "pids", "ulimits"} & report.keys()
    assert report["seccomp_sha256"]


def defaulted(pod: dict[str, Any]) -> dict[str, Any]:
    """As a server gives it back."""
    made: dict[str, Any] = copy.deepcopy(pod)
    made["metadata"] |= {"uid": "u", "resourceVersion": "1", "namespace": "n"}
    made["spec"] |= {"serviceAccountName": "default", "priority": 0, "schedulerName": "s"}
    (container,) = made["spec"]["containers"]
    container["resources"]["limits"]["cpu"] = "2"
    container["imagePullPolicy"] = "Always"
    container["terminationMessagePath"] = "/dev/termination-log"
    # Go's `omitempty`: what is empty is not written back.
    for variable in container["env"]:
        if not variable["value"]:
            del variable["value"]
    for mount in container["volumeMounts"]:
        if mount.get("readOnly") is False:
            del mount["readOnly"]
    made["spec"]["tolerations"].append({"key": "another", "operator": "Exists"})
    return made


def test_what_a_server_fills_in_is_no_change() -> None:
    asked = body()
    made = json.loads(json.dumps(defaulted(asked)))
    assert changed_on_the_way(asked, made) == ""


CHANGES: dict[str, Callable[[dict[str, Any]], Any]] = {
    "spec.containers": lambda spec: spec["containers"].append({"name": "sidecar", "image": "i"}),
    "spec.initContainers": lambda spec: spec.update(initContainers=[{"name": "i"}]),
    "spec.imagePullSecrets": lambda spec: spec.update(imagePullSecrets=[{"name": "owners"}]),
    "spec.hostNetwork": lambda spec: spec.update(hostNetwork=True),
    "spec.volumes": lambda spec: spec["volumes"].append({"name": "token"}),
    "spec.automountServiceAccountToken": lambda spec: spec.update(
        automountServiceAccountToken=True
    ),
    "spec.securityContext.supplementalGroups": lambda spec: spec["securityContext"].update(
        supplementalGroups=[0]
    ),
    "spec.containers[0].image": lambda spec: spec["containers"][0].update(image="mirror/b"),
    "spec.containers[0].env": lambda spec: spec["containers"][0]["env"].append({"name": "P"}),
    "spec.containers[0].volumeMounts[2].readOnly": lambda spec: spec["containers"][0][
        "volumeMounts"
    ][2].pop("readOnly"),
    "spec.enableServiceLinks": lambda spec: spec.pop("enableServiceLinks"),
    "spec.containers[0].envFrom": lambda spec: spec["containers"][0].update(envFrom=[{}]),
    "spec.containers[0].resources.limits.memory": lambda spec: spec["containers"][0]["resources"][
        "limits"
    ].update(memory="1Gi"),
    "spec.containers[0].securityContext.privileged": lambda spec: spec["containers"][0][
        "securityContext"
    ].update(privileged=True),
    "spec.containers[0].securityContext.seccompProfile": lambda spec: spec["containers"][0][
        "securityContext"
    ].update(seccompProfile={"type": "Unconfined"}),
    "spec.containers[0].securityContext.capabilities.add": lambda spec: spec["containers"][0][
        "securityContext"
    ]["capabilities"].update(add=["NET_RAW"]),
}


@pytest.mark.parametrize("where", CHANGES)
def test_what_somebody_else_adds_or_takes_away_is_named(where: str) -> None:
    asked = body()
    made = defaulted(asked)
    CHANGES[where](made["spec"])
    assert changed_on_the_way(asked, made) == where


@pytest.mark.parametrize(
    ("text", "amount"),
    [
        ("2", 2),
        ("1500m", "1.5"),
        ("16Gi", 16 << 30),
        ("1k", 1000),
        ("0.5", "0.5"),
        ("12e3", 12_000),
        ("128974848", 128_974_848),
        ("1Ei", 1 << 60),
    ],
)
def test_amounts_are_read_as_kubernetes_writes_them(text: str, amount: int | str) -> None:
    read = read_quantity(text)
    assert read is not None
    assert read == type(read)(amount)


@pytest.mark.parametrize("text", ["", "-1", "1 Gi", "1mi", "one", "1e999", "9" * 40, "\u0661"])
def test_what_is_no_amount_is_none(text: str) -> None:
    assert read_quantity(text) is None
