"""The machines of a cluster, and what each has for jobs of ours. Pure."""

from collections.abc import Iterable
from typing import Final

from neurogrid_node.fleet.machines import Machine
from neurogrid_node.kube.objects import Node
from neurogrid_node.kube.pod import SECCOMP_FILE
from neurogrid_node.kube.quantity import read_quantity

# With these a scheduler gives a machine no pod that does not ask for it.
_KEEPING_AWAY: Final = ("NoSchedule", "NoExecute")
_GPU: Final = (".com/gpu", "/gpu")


def machines(nodes: Iterable[Node], architecture: str) -> tuple[Machine, ...]:
    """From `GET /api/v1/nodes`, by name.

    What others' pods have is not looked at: that would take the right to read all of them. A machine that is
    full of them refuses a job, which then runs elsewhere.

    Args:
        architecture: of our jobs' images; others' machines take none.
    """
    found = (_machine(node, architecture) for node in nodes)
    return tuple(sorted(found, key=lambda each: each.name))


def _machine(node: Node, architecture: str) -> Machine:
    status, info = node.status, node.status.node_info
    allocatable = status.allocatable or {}
    cpu = read_quantity(allocatable.get("cpu", "")) or 0
    memory = read_quantity(allocatable.get("memory", "")) or 0
    is_up = any(each.type == "Ready" and each.status == "True" for each in status.conditions or ())
    is_open = not node.spec.unschedulable and not any(
        taint.effect in _KEEPING_AWAY for taint in node.spec.taints or ()
    )
    is_alike = (info.operating_system, info.architecture) == ("linux", architecture)
    return Machine(
        machine_id=node.metadata.name,
        name=node.metadata.name,
        is_ready=is_up and is_open and is_alike,
        # One that was made anew, booted, or has another runtime, is tried anew.
        version=f"{node.metadata.uid} {info.boot_id} {info.kubelet_version} {info.container_runtime_version}",
        cpu_millis=int(cpu * 1000),
        # What system and kubelet keep is not allocatable.
        memory_bytes=int(memory),
        gpus=sum(
            int(read_quantity(amount) or 0)
            for name, amount in allocatable.items()
            if name.endswith(_GPU)
        ),
        addresses=tuple(
            each.address
            for each in status.addresses or ()
            if each.type in ("InternalIP", "ExternalIP")
        ),
    )


# What to do about a machine, by what its trial finds wrong.
ADVICE: Final = {
    "trace": (
        f"lay what neurogrid-node fleet --seccomp prints into its /var/lib/kubelet/seccomp/{SECCOMP_FILE}"
    ),
    "cgroups": "boot it with control groups of version 2",
    "swap": "swapoff --all there, or memorySwap.swapBehavior: NoSwap for its kubelet",
    "writable": "ignore_image_defined_volumes = true for its containerd (CRI-O: image_volumes = ignore)",
    "reached": (
        "apply configs/kubernetes/neurogrid.yaml, and use a network plug-in that enforces NetworkPolicy, also "
        "between a pod and its own machine"
    ),
    "processes": "podPidsLimit: 256 for its kubelet",
    "shared": "let the claim be of the volume that this node has mounted at [engine] shared",
}
