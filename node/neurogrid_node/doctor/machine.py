"""Keys, disk and what is offered of the machine: facts in, findings out. Pure."""

from dataclasses import dataclass
from typing import Final

from ..settings.machine import OfferConfig
from .findings import Finding

_GIB: Final = 1 << 30
_JOBS_GIB_MIN: Final = 10


@dataclass(frozen=True, slots=True)
class KeyFile:
    """One secret file.

    Attributes:
        mode: its permissions.
        problem: why it cannot be used, "" if it can.
    """

    name: str
    mode: int
    problem: str = ""


@dataclass(frozen=True, slots=True)
class KeyFacts:
    """The node's keys.

    Attributes:
        missing: names of those that are not there.
        directory_mode: permissions of the directory.
    """

    files: tuple[KeyFile, ...]
    missing: tuple[str, ...]
    directory: str
    directory_mode: int


def judge_keys(facts: KeyFacts) -> tuple[Finding, ...]:
    """Whether the keys are there, whole, and nobody else's."""
    found = []
    if facts.missing:
        found.append(
            Finding(
                "KEYS_MISSING",
                f"{facts.directory} has no {' and no '.join(facts.missing)}",
                "neurogrid-node init; or bring the files of your backup back",
            )
        )
    for file in facts.files:
        if file.mode & 0o077:
            saw = f"{file.name} may be read or written by others (mode {file.mode:04o})"
            found.append(Finding("KEYS_OPEN", saw, f"chmod 600 {facts.directory}/{file.name}"))
        elif file.problem:
            fix = "bring the file of your backup back"
            found.append(Finding("KEYS_DAMAGED", file.problem, fix))
    if facts.directory_mode & 0o077:
        found.append(
            Finding(
                "DIRECTORY_OPEN",
                f"others may look into {facts.directory} (mode {facts.directory_mode:04o}), where jobs' secrets are",
                f"chmod 700 {facts.directory}",
            )
        )
    if not any(finding.code != "DIRECTORY_OPEN" for finding in found):
        names = ", ".join(file.name for file in facts.files)
        found.append(Finding("KEYS_OK", f"{names}: nobody else's"))
    return tuple(found)


@dataclass(frozen=True, slots=True)
class DiskFacts:
    """Room for jobs.

    Attributes:
        problem: why nothing can be written in the node's directory; "" if it can.
        free_bytes: for jobs' files, less what the system keeps.
        no_quota: why a job's disk has no hard limit; "" if it has.
    """

    directory: str
    problem: str
    free_bytes: int
    no_quota: str


def judge_disk(facts: DiskFacts) -> tuple[Finding, ...]:
    """Whether jobs' files have room, and limits."""
    if facts.problem:
        fix = "give the node a directory that it may write to: --data"
        return (Finding("DISK_UNUSABLE", facts.problem, fix),)
    found = []
    free = f"{facts.free_bytes / _GIB:.1f} GiB for jobs' files in {facts.directory}"
    if not facts.free_bytes:
        fix = "make room, or move the node's directory to another disk: --data"
        found.append(Finding("DISK_FULL", free, fix))
    elif facts.free_bytes < _JOBS_GIB_MIN * _GIB:
        found.append(
            Finding("DISK_LOW", free, f"make room: few jobs need less than {_JOBS_GIB_MIN} GiB")
        )
    if facts.no_quota:
        found.append(
            Finding(
                "DISK_NO_QUOTA",
                f"jobs' disks are watched, not limited: {facts.no_quota}",
                "run the node as root where loop devices can be mounted; some tasks ask for that",
            )
        )
    return tuple(found) or (Finding("DISK_OK", f"{free}, each job within a limit of its own"),)


@dataclass(frozen=True, slots=True)
class MachineFacts:
    """What the machine has: cores, bytes of memory and of disk for jobs."""

    cpu_cores: int
    memory_bytes: int
    disk_bytes: int


def judge_offer(offer: OfferConfig, facts: MachineFacts) -> tuple[Finding, ...]:
    """Whether the machine has what [offer] says; what it has not is not offered."""
    asked = {
        "cpu_cores": (offer.cpu_cores, facts.cpu_cores),
        "memory_gib": (offer.memory_gib, facts.memory_bytes // _GIB),
        "disk_gib": (offer.disk_gib, facts.disk_bytes // _GIB),
    }
    return tuple(
        Finding(
            "OFFER_TOO_LARGE",
            f"[offer] {key} is {wanted} and this machine has {there}: {there} is offered",
            f"set {key} = {there}, or 0 for all that there is",
        )
        for key, (wanted, there) in asked.items()
        if wanted > there
    )
