"""The container engine and what a container of ours saw: facts in, findings out. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from ..container.user_namespaces import REMAP, obstacle
from ..container.views import EngineInfo
from ..machine.proofs import Disproof
from .findings import Finding

# Drivers of storage that copy a whole image for each container.
_COPYING: Final = frozenset({"vfs"})
# After these no job runs here.
_NO_JOB: Final = frozenset({"CONTAINER_NO_IMAGE", "CONTAINER_UNSAFE", "CONTAINER_REFUSED"})
# A CUDA image unpacks to 5 to 15 GiB.
_IMAGES_GIB_MIN: Final = 20
_GIB: Final = 1 << 30
_DAEMON_JSON: Final = "/etc/docker/daemon.json"


@dataclass(frozen=True, slots=True)
class EngineFacts:
    """What is known of the engine.

    Attributes:
        info: None where it can't be used.
        problem: why it can't; too_old: because it is.
        has_nvidia: whether a GPU of NVIDIA's is offered.
        free_bytes: where it unpacks images; None: unknown.
        in_swarm: whether the node's jobs are a swarm's, whose engines cannot keep containers over a restart.
        is_node_root: whether the node runs as root.
        needs_user_namespaces: whether the owner has it start only with an engine that remaps users.
        lacking: names of our own images that it does not have -> what does not work without.
    """

    info: EngineInfo | None
    problem: str = ""
    too_old: bool = False
    has_nvidia: bool = False
    free_bytes: int | None = None
    lacking: tuple[tuple[str, str], ...] = ()
    in_swarm: bool = False
    is_node_root: bool = True
    needs_user_namespaces: bool = False


def judge_engine(facts: EngineFacts) -> tuple[Finding, ...]:
    """Whether it can hold jobs."""
    info = facts.info
    if info is None:
        if facts.too_old:
            return (Finding("ENGINE_TOO_OLD", facts.problem, "install Docker 20.10 or newer"),)
        advice = "start it: systemctl start docker; else see what journalctl -u docker says"
        return (Finding("ENGINE_UNREACHABLE", facts.problem, advice),)
    found = []
    if info.unlimited:
        found.append(
            Finding(
                "ENGINE_NO_LIMITS",
                f"limits that are not kept: {'; '.join(info.unlimited)}",
                "boot with cgroup_enable=memory swapaccount=1, or with a kernel that has cgroup v2",
            )
        )
    if not info.has_seccomp:
        found.append(
            Finding(
                "ENGINE_NO_SECCOMP", "jobs' system calls are not filtered", "use another kernel"
            )
        )
    if not info.live_restore and not facts.in_swarm:
        found.append(
            Finding(
                "ENGINE_NO_LIVE_RESTORE",
                "an engine restart ends running jobs",
                f'"live-restore": true in {_DAEMON_JSON}, then systemctl reload docker',
            )
        )
    if not facts.in_swarm:
        found.append(_of_user_namespaces(info, facts))
    if info.is_rootless:
        found.append(
            Finding(
                "ENGINE_ROOTLESS",
                "it does not run as root: jobs cannot reach their directories",
                "use the system's engine: unset DOCKER_HOST",
            )
        )
    if info.cgroup_driver == "systemd" and facts.has_nvidia:
        found.append(
            Finding(
                "ENGINE_CGROUPS_SYSTEMD",
                "systemctl daemon-reload takes NVIDIA's GPUs from running jobs",
                f'"exec-opts": ["native.cgroupdriver=cgroupfs"] in {_DAEMON_JSON}, or nvidia-ctk system '
                "create-dev-char-symlinks --create-all",
            )
        )
    if info.storage_driver in _COPYING:
        found.append(
            Finding(
                "ENGINE_STORAGE_COPIES",
                f"storage driver {info.storage_driver} copies an image for every job",
                f'"storage-driver": "overlay2" in {_DAEMON_JSON}',
            )
        )
    if facts.free_bytes is not None and facts.free_bytes < _IMAGES_GIB_MIN * _GIB:
        saw = f"{facts.free_bytes / _GIB:.1f} GiB where it unpacks images ({info.data_root})"
        fix = f'docker image prune, or a larger disk for "data-root" in {_DAEMON_JSON}'
        found.append(Finding("ENGINE_DISK_LOW", saw, fix))
    found += [
        Finding("IMAGE_MISSING", f"{image} is not here: {without}", "make images")
        for image, without in facts.lacking
    ]
    runtimes = f"runs {', '.join(info.job_runtimes) or 'jobs'} of {', '.join(info.runtimes)}"
    found.append(
        Finding(
            "ENGINE_OK",
            f"{info.version}, {info.storage_driver}, cgroup v{info.cgroup_version}, {runtimes}",
        )
    )
    return tuple(found)


def _of_user_namespaces(info: EngineInfo, facts: EngineFacts) -> Finding:
    if problem := obstacle(info.root_ids, is_node_root=facts.is_node_root):
        fix = f"run the node as root, or take userns-remap out of {_DAEMON_JSON}"
        return Finding("ENGINE_USERNS", problem, fix)
    if info.is_remapped and info.root_ids is not None:
        uid, _ = info.root_ids
        return Finding("USERNS_ON", f"root in a job's container is this machine's user {uid}")
    saw = "root in a job's container is this machine's root"
    if facts.needs_user_namespaces:
        return Finding("ENGINE_NO_USERNS", f"{saw}, which node.toml does not allow", REMAP)
    return Finding("USERNS_OFF", f"{saw}; docs/runtimes.md says how it is nobody's", REMAP)


_MEND: Final = {
    "CONTAINER_NO_IMAGE": "make images",
    "CONTAINER_UNSAFE": "no job may run here: mend engine and kernel",
    "CONTAINER_NO_GPU": "nvidia-ctk runtime configure --runtime=docker; systemctl restart docker",
    "GPU_NODE_CLOSED": "let jobs, which run as nobody, open it: see docs/inventory.md",
    "CHECKPOINTS_UNPROVED": "jobs run without checkpoints: mend the kernel's freezer",
    "GANGS_UNPROVED": "no gangs run here: see docs/gang-network.md",
    "EGRESS_UNPROVED": "no job has a network here: see docs/egress.md",
}


def judge_links(disproofs: Iterable[Disproof], tried: Iterable[str]) -> tuple[Finding, ...]:
    """What came of links like those beside jobs.

    Args:
        disproofs: of what the running node has tried, too.
        tried: what was.
    """
    found = tuple(Finding(each.code, each.message, _MEND[each.code]) for each in disproofs)
    kinds = " and ".join(tried)
    if found or not kinds:
        return found
    return (Finding("LINKS_OK", f"links like those beside jobs come up: {kinds}"),)


def judge_trials(disproofs: Iterable[Disproof], tried: str) -> tuple[Finding, ...]:
    """What came of containers that were made like a job's.

    Args:
        disproofs: of what the running node has tried, too.
        tried: what was well otherwise.
    """
    found = tuple(
        Finding(each.code, each.message, _MEND.get(each.code, "see what journalctl -u docker says"))
        for each in disproofs
    )
    is_held = not any(each.code in _NO_JOB for each in found)
    return (*found, Finding("CONTAINER_OK", tried)) if is_held else found
