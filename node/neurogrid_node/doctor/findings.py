"""What doctor can find: a code for each, how bad it is, and whom it concerns. Pure.

Codes are stable: docs/doctor.md lists them, owners grep for them, and programs read them from `--json`.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Severity(StrEnum):
    """How bad a finding is."""

    OK = "ok"
    WARN = "warn"
    """Jobs run, and something is worse than it could be."""
    FAIL = "fail"
    """No job runs here, or no job of some kind."""


class Area(StrEnum):
    """What a code is about."""

    DOCTOR = "doctor"
    CONFIG = "config"
    KEYS = "keys"
    DISK = "disk"
    ENGINE = "engine"
    CONTAINER = "container"
    LINK = "link"
    GPU = "gpu"
    TOOLKIT = "toolkit"
    COORDINATOR = "coordinator"
    CLOCK = "clock"
    NETWORK = "network"
    LEDGER = "ledger"
    STAKE = "stake"


_CODES: Final = {
    (Area.DOCTOR, Severity.WARN): ("NOT_CHECKED",),
    (Area.DOCTOR, Severity.FAIL): ("NO_ANSWER", "CHECK_BROKEN"),
    (Area.CONFIG, Severity.OK): ("CONFIG_OK",),
    (Area.CONFIG, Severity.WARN): ("OFFER_TOO_LARGE",),
    (Area.CONFIG, Severity.FAIL): ("CONFIG_MISSING", "CONFIG_INVALID"),
    (Area.KEYS, Severity.OK): ("KEYS_OK",),
    (Area.KEYS, Severity.WARN): ("DIRECTORY_OPEN",),
    (Area.KEYS, Severity.FAIL): ("KEYS_MISSING", "KEYS_OPEN", "KEYS_DAMAGED"),
    (Area.DISK, Severity.OK): ("DISK_OK",),
    (Area.DISK, Severity.WARN): ("DISK_LOW", "DISK_NO_QUOTA"),
    (Area.DISK, Severity.FAIL): ("DISK_FULL", "DISK_UNUSABLE"),
    (Area.ENGINE, Severity.OK): ("ENGINE_OK", "CLUSTER_OK", "USERNS_ON", "USERNS_OFF"),
    (Area.ENGINE, Severity.WARN): (
        *("ENGINE_NO_LIVE_RESTORE", "ENGINE_CGROUPS_SYSTEMD"),
        *("ENGINE_STORAGE_COPIES", "ENGINE_DISK_LOW", "IMAGE_MISSING"),
        "CLUSTER_NO_IMAGE",
    ),
    (Area.ENGINE, Severity.FAIL): (
        *("ENGINE_UNREACHABLE", "ENGINE_TOO_OLD", "ENGINE_NO_LIMITS", "ENGINE_NO_SECCOMP"),
        *("ENGINE_USERNS", "ENGINE_NO_USERNS", "ENGINE_ROOTLESS"),
        *("CLUSTER_UNREACHABLE", "CLUSTER_REFUSES", "CLUSTER_NO_MACHINE"),
    ),
    (Area.CONTAINER, Severity.OK): ("CONTAINER_OK",),
    (Area.CONTAINER, Severity.WARN): ("CHECKPOINTS_UNPROVED",),
    (Area.CONTAINER, Severity.FAIL): (
        *("CONTAINER_NO_IMAGE", "CONTAINER_REFUSED", "CONTAINER_UNSAFE", "CONTAINER_NO_GPU"),
    ),
    (Area.LINK, Severity.OK): ("LINKS_OK",),
    (Area.LINK, Severity.WARN): ("GANGS_UNPROVED", "EGRESS_UNPROVED"),
    (Area.GPU, Severity.OK): ("GPU_OK", "GPU_NONE", "GPU_NOT_OFFERED"),
    (Area.GPU, Severity.WARN): (
        *("GPU_NO_DRIVER", "GPU_NODE_MISSING", "GPU_WITHHELD", "DRIVER_OLD"),
    ),
    (Area.GPU, Severity.FAIL): (
        *("GPU_DRIVER_MISMATCH", "GPU_NO_PERMISSION", "GPU_SILENT", "GPU_UNREADABLE"),
        *("GPU_COUNT_DIFFERS", "GPU_FAULT", "GPU_NODE_CLOSED"),
    ),
    (Area.TOOLKIT, Severity.OK): ("TOOLKIT_OK", "TOOLKIT_NOT_NEEDED"),
    (Area.TOOLKIT, Severity.FAIL): ("TOOLKIT_MISSING", "TOOLKIT_ESCAPES", "TOOLKIT_UNREADABLE"),
    (Area.COORDINATOR, Severity.OK): ("COORDINATOR_OK", "COORDINATOR_NONE"),
    (Area.COORDINATOR, Severity.WARN): ("COORDINATOR_AWAY",),
    (Area.COORDINATOR, Severity.FAIL): ("COORDINATORS_AWAY",),
    (Area.CLOCK, Severity.OK): ("CLOCK_OK",),
    (Area.CLOCK, Severity.WARN): ("CLOCK_DRIFTS", "CLOCK_UNKNOWN"),
    (Area.CLOCK, Severity.FAIL): ("CLOCK_WRONG",),
    (Area.NETWORK, Severity.OK): ("PORT_OK", "REACH_OUTBOUND", "REACH_DIRECT", "REACH_RELAY"),
    (Area.NETWORK, Severity.WARN): ("REACH_PRIVATE", "RELAY_AWAY"),
    (Area.NETWORK, Severity.FAIL): ("PORT_UNUSABLE", "REACH_NOBODY"),
    (Area.LEDGER, Severity.OK): ("LEDGER_OK",),
    (Area.LEDGER, Severity.WARN): ("LEDGER_LAGS", "LEDGER_SECOND_AWAY"),
    (Area.LEDGER, Severity.FAIL): (
        *("LEDGER_AWAY", "LEDGER_OTHER_CHAIN", "LEDGER_NO_PROGRAM", "LEDGER_NO_MARKET"),
    ),
    (Area.STAKE, Severity.OK): ("STAKE_OK", "STAKE_AT_START"),
    (Area.STAKE, Severity.WARN): ("FEES_LOW",),
    (Area.STAKE, Severity.FAIL): ("STAKE_UNFUNDED", "STAKE_LOW", "MARKET_PAUSED"),
}


@dataclass(frozen=True, slots=True)
class Code:
    """What is fixed of a code."""

    area: Area
    severity: Severity


CODES: Final[dict[str, Code]] = {
    name: Code(area, severity) for (area, severity), names in _CODES.items() for name in names
}


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was found.

    Attributes:
        code: of `CODES`.
        saw: what was seen, in a sentence.
        fix: what to do; "" where there is nothing to do.
    """

    code: str
    saw: str
    fix: str = ""

    def __post_init__(self) -> None:
        assert self.code in CODES, self.code

    @property
    def severity(self) -> Severity:
        """How bad it is."""
        return CODES[self.code].severity

    @property
    def area(self) -> Area:
        """What it is about."""
        return CODES[self.code].area

    def to_json(self) -> dict[str, str]:
        """For programs."""
        return {
            "code": self.code,
            "area": self.area.value,
            "severity": self.severity.value,
            "saw": self.saw,
            "fix": self.fix,
        }


def worst(findings: Iterable[Finding]) -> Severity:
    """The worst of them; ok where there is none."""
    found = {finding.severity for finding in findings}
    return next((each for each in reversed(Severity) if each in found), Severity.OK)
