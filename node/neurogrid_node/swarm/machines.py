"""The machines of a swarm, and what each has for jobs of ours. Pure."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from neurogrid_node.container.spec import LABEL_NODE
from neurogrid_node.fleet.machines import Machine
from neurogrid_node.machine.inventory import system_memory_bytes
from neurogrid_node.swarm.views import is_over

_NANO_PER_MILLI: Final = 1_000_000


def machines(
    nodes: Iterable[Mapping[str, Any]], tasks: Iterable[Mapping[str, Any]], node_id: str
) -> tuple[Machine, ...]:
    """From `GET /nodes` and `GET /tasks`, by name.

    Args:
        node_id: whose tasks are ours; what they have is in our own ledger.
    """
    taken: dict[str, tuple[int, int]] = {}
    for task in tasks:
        # A task's own labels are empty: ours are its service's, and its container's.
        labels = (task["Spec"].get("ContainerSpec") or {}).get("Labels") or {}
        if labels.get(LABEL_NODE) == node_id or is_over(task):
            continue
        asked = (task["Spec"].get("Resources") or {}).get("Reservations") or {}
        cpu, memory = taken.get(str(task.get("NodeID", "")), (0, 0))
        cpu += int(asked.get("NanoCPUs", 0)) // _NANO_PER_MILLI
        memory += int(asked.get("MemoryBytes", 0))
        taken[str(task.get("NodeID", ""))] = (cpu, memory)
    found = (_machine(node, *taken.get(str(node["ID"]), (0, 0))) for node in nodes)
    return tuple(sorted(found, key=lambda each: (each.name, each.machine_id)))


def _machine(node: Mapping[str, Any], cpu_taken: int, memory_taken: int) -> Machine:
    description = node.get("Description") or {}
    resources = description.get("Resources") or {}
    memory = int(resources.get("MemoryBytes", 0))
    state = (node.get("Status") or {}).get("State")
    takes_tasks = (node.get("Spec") or {}).get("Availability") == "active"
    return Machine(
        machine_id=str(node["ID"]),
        name=str(description.get("Hostname", "")),
        is_ready=state == "ready" and takes_tasks,
        version=str((node.get("Version") or {}).get("Index", 0)),
        cpu_millis=max(0, int(resources.get("NanoCPUs", 0)) // _NANO_PER_MILLI - cpu_taken),
        memory_bytes=max(0, memory - system_memory_bytes(memory) - memory_taken),
        gpus=len(resources.get("GenericResources") or ()),
    )


# What to do about a machine, by what its trial finds wrong. Most of it is an engine's own setting in daemon.json.
ADVICE: Final = {
    "no_new_privileges": '"no-new-privileges": true in its daemon.json',
    "interfaces": '"bridge": "none" in its daemon.json',
    "trace": '"seccomp-profile" in its daemon.json (neurogrid-node fleet --seccomp prints it)',
    "cgroups": '"default-cgroupns-mode": "private" in its daemon.json',
    "swap": "swapoff --all there",
    "shared": "mount the shared folder at the same path",
}
