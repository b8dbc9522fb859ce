"""What doctor makes of facts: no I/O here."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurogrid_marketplace.envelope import CLOCK_TOLERANCE_MS
from neurogrid_marketplace.resources import AMD, NVIDIA
from neurogrid_node.container.views import engine_info
from neurogrid_node.doctor.engine import EngineFacts, judge_engine, judge_links, judge_trials
from neurogrid_node.doctor.findings import CODES, Finding, Severity, worst
from neurogrid_node.doctor.gpus import GpuFacts, judge_gpus
from neurogrid_node.doctor.ledger import LedgerFacts, judge_ledger
from neurogrid_node.doctor.machine import (
    DiskFacts,
    KeyFacts,
    KeyFile,
    MachineFacts,
    judge_disk,
    judge_keys,
    judge_offer,
)
from neurogrid_node.doctor.network import (
    CoordinatorFacts,
    ReachFacts,
    judge_coordinators,
    judge_reach,
)
from neurogrid_node.doctor.toolkit import ToolkitFacts, judge_toolkit
from neurogrid_node.machine.gpu_state import GpuFault, GpuReading
from neurogrid_node.machine.nvidia import (
    NO_ANSWER,
    NO_DRIVER,
    NO_GPU,
    NO_PERMISSION,
    NOT_LOADED,
    UPDATED,
)
from neurogrid_node.machine.proofs import Disproof
from neurogrid_node.machine.toolkit import ESCAPES, VERSION_MIN, read_version
from neurogrid_node.settings.machine import OfferConfig
from node.test_status import L4

GIB = 1 << 30


def codes(found: tuple[Finding, ...]) -> list[str]:
    return [finding.code for finding in found]


def test_whatever_is_not_well_says_what_to_do_and_the_worst_counts() -> None:
    warned, failed = Finding("DISK_LOW", "x", "y"), Finding("DISK_FULL", "x", "y")
    assert worst([Finding("DISK_OK", "x"), warned]) is Severity.WARN
    assert worst([failed, warned]) is Severity.FAIL
    assert worst([]) is Severity.OK


# --- the toolkit -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("says", "open_escapes"),
    [
        ("NVIDIA Container Toolkit CLI version 1.16.1\ncommit: a470818", list(ESCAPES)),
        ("NVIDIA Container Toolkit CLI version 1.16.2", list(ESCAPES)[1:]),
        ("NVIDIA Container Toolkit CLI version 1.17.7", list(ESCAPES)[2:]),
        ("cli-version: 1.17.8\nlib-version: 1.17.8", ["CVE-2026-24260"]),
        ("NVIDIA Container Toolkit CLI version 1.19.0", ["CVE-2026-24260"]),
        ("NVIDIA Container Toolkit CLI version 1.19.1-rc.1", ["CVE-2026-24260"]),
        ("NVIDIA Container Toolkit CLI version 1.19.1", []),
        ("NVIDIA Container Toolkit CLI version 2.0.0", []),
    ],
)
def test_versions_with_known_escapes_are_refused(says: str, open_escapes: list[str]) -> None:
    (found,) = judge_toolkit(ToolkitFacts(needed=True, says=says))
    assert found.code == ("TOOLKIT_ESCAPES" if open_escapes else "TOOLKIT_OK")
    assert [name for name in ESCAPES if name in found.saw] == open_escapes
    assert ("1.19.1" in found.fix) is bool(open_escapes)


@given(st.tuples(*[st.integers(0, 3000)] * 3))
def test_only_versions_from_the_newest_mend_on_are_let_through(
    version: tuple[int, int, int],
) -> None:
    text = "cli-version: {}.{}.{}".format(*version)
    assert read_version(text) == (version, False)
    (found,) = judge_toolkit(ToolkitFacts(needed=True, says=text))
    assert (found.code == "TOOLKIT_OK") is (version >= VERSION_MIN)


def test_a_toolkit_that_is_not_there_or_says_nothing_is_refused_where_it_is_needed() -> None:
    assert codes(judge_toolkit(ToolkitFacts(needed=True, says=None))) == ["TOOLKIT_MISSING"]
    assert codes(judge_toolkit(ToolkitFacts(needed=True, says="what?"))) == ["TOOLKIT_UNREADABLE"]
    for says in (None, "cli-version: 1.0.0"):
        assert codes(judge_toolkit(ToolkitFacts(needed=False, says=says))) == ["TOOLKIT_NOT_NEEDED"]


# --- GPUs --------------------------------------------------------------------------------------

READING = GpuReading(gpus=(L4,), driver="550.90.07", cuda="12.4")


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        (GpuFacts(wanted=False, reading=None), ["GPU_NOT_OFFERED"]),
        (GpuFacts(wanted=True, reading=None), ["GPU_SILENT"]),
        (GpuFacts(True, READING, frozenset({NVIDIA})), ["GPU_OK"]),
        # An old card of AMD's beside it is worth a word.
        (GpuFacts(True, READING, frozenset({NVIDIA, AMD})), ["GPU_NO_DRIVER", "GPU_OK"]),
        (GpuFacts(True, GpuReading(note=NO_DRIVER)), ["GPU_NONE"]),
        (GpuFacts(True, GpuReading(note=NO_DRIVER), frozenset({NVIDIA})), ["GPU_NO_DRIVER"]),
        (GpuFacts(True, GpuReading(note=NOT_LOADED), frozenset({NVIDIA})), ["GPU_NO_DRIVER"]),
        (GpuFacts(True, GpuReading(note=NO_GPU), frozenset({NVIDIA})), ["GPU_NO_DRIVER"]),
        (GpuFacts(True, GpuReading(note=NO_ANSWER)), ["GPU_SILENT"]),
        (GpuFacts(True, GpuReading(note=UPDATED), frozenset({NVIDIA})), ["GPU_DRIVER_MISMATCH"]),
        (GpuFacts(True, GpuReading(note=NO_PERMISSION)), ["GPU_NO_PERMISSION"]),
        (GpuFacts(True, GpuReading(note="NVML: odd: CPU only")), ["GPU_UNREADABLE"]),
        (
            GpuFacts(
                True,
                replace(READING, note="the kernel drives 2 GPUs and NVML shows 1: look at dmesg"),
            ),
            ["GPU_COUNT_DIFFERS", "GPU_OK"],
        ),
        (
            GpuFacts(True, replace(READING, faults=(GpuFault(1, "", "lost", "it fell off"),))),
            ["GPU_FAULT", "GPU_OK"],
        ),
        (GpuFacts(True, READING, closed=(("/dev/nvidia0", "mode 0660"),)), ["GPU_NODE_CLOSED"]),
        (GpuFacts(True, READING, missing=("/dev/nvidia-uvm",)), ["GPU_NODE_MISSING", "GPU_OK"]),
        (GpuFacts(True, READING, withheld=("GPU-9: XID 79 (xid)",)), ["GPU_WITHHELD", "GPU_OK"]),
        (GpuFacts(True, replace(READING, driver="470.82.01")), ["DRIVER_OLD", "GPU_OK"]),
        (GpuFacts(True, replace(READING, driver="525.60.13")), ["GPU_OK"]),
        # A version of no form that we know is not judged.
        (GpuFacts(True, replace(READING, driver="vGPU 17")), ["GPU_OK"]),
    ],
)
def test_what_is_said_of_gpus(facts: GpuFacts, expected: list[str]) -> None:
    assert codes(judge_gpus(facts)) == expected


# --- the engine --------------------------------------------------------------------------------

GOOD = {
    "ServerVersion": "28.1.0",
    "Driver": "overlay2",
    "CgroupVersion": "2",
    "CgroupDriver": "systemd",
    "Runtimes": {"runc": {}},
    "DefaultRuntime": "runc",
    "SecurityOptions": ["name=seccomp,profile=builtin", "name=cgroupns"],
    "LiveRestoreEnabled": True,
}
REMAPS: dict[str, object] = {"SecurityOptions": ["name=seccomp", "name=userns"]}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, ["USERNS_OFF"]),
        ({"LiveRestoreEnabled": False}, ["ENGINE_NO_LIVE_RESTORE", "USERNS_OFF"]),
        ({"SecurityOptions": ["name=apparmor"]}, ["ENGINE_NO_SECCOMP", "USERNS_OFF"]),
        (
            {"SecurityOptions": ["name=seccomp", "name=rootless"]},
            ["USERNS_OFF", "ENGINE_ROOTLESS"],
        ),
        ({"Warnings": ["WARNING: No swap limit support"]}, ["ENGINE_NO_LIMITS", "USERNS_OFF"]),
        ({"Driver": "vfs"}, ["USERNS_OFF", "ENGINE_STORAGE_COPIES"]),
        # It does not say to whom.
        (REMAPS, ["ENGINE_USERNS"]),
        (REMAPS | {"DockerRootDir": "/var/lib/docker/165536.165536"}, ["USERNS_ON"]),
    ],
)
def test_what_is_said_of_an_engine(changes: dict[str, object], expected: list[str]) -> None:
    assert codes(judge_engine(EngineFacts(engine_info(GOOD | changes)))) == [*expected, "ENGINE_OK"]


def test_an_engine_that_has_to_remap_users_and_a_node_that_cannot_use_it() -> None:
    needing = EngineFacts(engine_info(GOOD), needs_user_namespaces=True)
    assert codes(judge_engine(needing)) == ["ENGINE_NO_USERNS", "ENGINE_OK"]
    remaps = engine_info(GOOD | REMAPS | {"DockerRootDir": "/var/lib/docker/165536.165536"})
    (found, _) = judge_engine(EngineFacts(remaps, needs_user_namespaces=True))
    assert (found.code, "user 165536" in found.saw) == ("USERNS_ON", True)
    found = judge_engine(EngineFacts(remaps, is_node_root=False))[0]
    assert (found.code, "as root" in found.fix) == ("ENGINE_USERNS", True)


def test_no_engine_of_a_swarm_is_to_keep_containers_over_its_restart() -> None:
    info = engine_info(GOOD | {"LiveRestoreEnabled": False})
    assert codes(judge_engine(EngineFacts(info, in_swarm=True))) == ["ENGINE_OK"]


def test_an_engine_that_is_not_there_or_too_old() -> None:
    assert codes(judge_engine(EngineFacts(None, "nothing answers"))) == ["ENGINE_UNREACHABLE"]
    assert codes(judge_engine(EngineFacts(None, "1.24", too_old=True))) == ["ENGINE_TOO_OLD"]


def test_what_an_engine_lacks_for_gpus_images_and_room() -> None:
    facts = EngineFacts(
        engine_info(GOOD),
        has_nvidia=True,
        free_bytes=5 * GIB,
        lacking=(("neurogrid/scrub:1", "memory is not overwritten"),),
    )
    assert codes(judge_engine(facts))[:-1] == [
        *("USERNS_OFF", "ENGINE_CGROUPS_SYSTEMD", "ENGINE_DISK_LOW", "IMAGE_MISSING")
    ]


@pytest.mark.parametrize(
    ("disproved", "expected"),
    [
        ([], ["CONTAINER_OK"]),
        (["CONTAINER_NO_IMAGE"], ["CONTAINER_NO_IMAGE"]),
        (["CONTAINER_REFUSED"], ["CONTAINER_REFUSED"]),
        (["CONTAINER_UNSAFE"], ["CONTAINER_UNSAFE"]),
        # Jobs run, though not all.
        (["CHECKPOINTS_UNPROVED"], ["CHECKPOINTS_UNPROVED", "CONTAINER_OK"]),
        (["CONTAINER_NO_GPU"] * 2, ["CONTAINER_NO_GPU"] * 2 + ["CONTAINER_OK"]),
    ],
)
def test_what_is_said_of_containers(disproved: list[str], expected: list[str]) -> None:
    found = judge_trials([Disproof(code, "words") for code in disproved], "well")
    assert codes(found) == expected


@pytest.mark.parametrize(
    ("disproved", "tried", "codes"),
    [
        ([], ["a gang's", "one to hosts"], ["LINKS_OK"]),
        ([], [], []),
        (["GANGS_UNPROVED"], ["a gang's", "one to hosts"], ["GANGS_UNPROVED"]),
        # A node that serves none now has tried before it was told so.
        (["EGRESS_UNPROVED"], [], ["EGRESS_UNPROVED"]),
    ],
)
def test_links_are_good_where_each_that_was_tried_came_up(
    disproved: list[str], tried: list[str], codes: list[str]
) -> None:
    found = judge_links([Disproof(code, "words") for code in disproved], tried)
    assert [each.code for each in found] == codes
    assert all(each.fix for each in found if each.severity is not Severity.OK)


# --- keys, disk, offer -------------------------------------------------------------------------


def test_keys_that_others_may_read_are_named_whatever_else_is_wrong() -> None:
    files = (KeyFile("identity.json", 0o640, "readable by others"), KeyFile("wallet.json", 0o600))
    found = judge_keys(KeyFacts(files, (), "/n", 0o755))
    assert codes(found) == ["KEYS_OPEN", "DIRECTORY_OPEN"]
    assert found[0].fix == "chmod 600 /n/identity.json"
    whole = (KeyFile("identity.json", 0o600), KeyFile("wallet.keystore", 0o400))
    assert codes(judge_keys(KeyFacts(whole, (), "/n", 0o700))) == ["KEYS_OK"]
    damaged = (KeyFile("identity.json", 0o600, "it is damaged"),)
    assert codes(judge_keys(KeyFacts(damaged, ("wallet.keystore",), "/n", 0o700))) == [
        *("KEYS_MISSING", "KEYS_DAMAGED")
    ]


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        (DiskFacts("/n", "", 50 * GIB, ""), ["DISK_OK"]),
        (DiskFacts("/n", "", 5 * GIB, ""), ["DISK_LOW"]),
        (DiskFacts("/n", "", 0, "not root"), ["DISK_FULL", "DISK_NO_QUOTA"]),
        (DiskFacts("/n", "read-only", 0, ""), ["DISK_UNUSABLE"]),
    ],
)
def test_what_is_said_of_the_disk(facts: DiskFacts, expected: list[str]) -> None:
    assert codes(judge_disk(facts)) == expected


def test_an_offer_of_more_than_there_is_names_the_key() -> None:
    machine = MachineFacts(cpu_cores=4, memory_bytes=8 * GIB, disk_bytes=100 * GIB)
    assert judge_offer(OfferConfig(), machine) == ()
    assert judge_offer(OfferConfig(cpu_cores=4, memory_gib=8, disk_gib=100), machine) == ()
    found = judge_offer(OfferConfig(cpu_cores=5, memory_gib=9), machine)
    assert [finding.fix for finding in found] == [
        "set cpu_cores = 4, or 0 for all that there is",
        "set memory_gib = 8, or 0 for all that there is",
    ]


# --- network -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ahead_ms", "expected"),
    [
        ([], "CLOCK_UNKNOWN"),
        ([-20], "CLOCK_OK"),
        ([CLOCK_TOLERANCE_MS // 4 + 1], "CLOCK_DRIFTS"),
        ([CLOCK_TOLERANCE_MS], "CLOCK_DRIFTS"),
        ([-CLOCK_TOLERANCE_MS - 1], "CLOCK_WRONG"),
        # One that is wrong itself says nothing of ours.
        ([10 * CLOCK_TOLERANCE_MS, 5], "CLOCK_OK"),
    ],
)
def test_the_clock_is_compared_with_the_nearest_coordinators(
    ahead_ms: list[int], expected: str
) -> None:
    heard = [CoordinatorFacts(f"c{ms}", "", ms) for ms in ahead_ms]
    found = judge_coordinators([*heard, CoordinatorFacts("d", "refused")])
    assert codes(found)[-1] == expected
    assert ("COORDINATORS_AWAY" in codes(found)) is (not heard)


def test_a_clock_that_is_behind_is_called_so() -> None:
    assert "behind the coordinator's" in judge_coordinators([CoordinatorFacts("c", "", 9)])[-1].saw
    assert "ahead of the coord" in judge_coordinators([CoordinatorFacts("c", "", -9)])[-1].saw
    assert codes(judge_coordinators([])) == ["COORDINATOR_NONE"]


NOWHERE = ReachFacts((), (), (), (), wants_callers=False)


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        (NOWHERE, ["REACH_OUTBOUND"]),
        (replace(NOWHERE, wants_callers=True), ["REACH_NOBODY"]),
        (replace(NOWHERE, ports=(("/a", ""),), private=("/a",)), ["PORT_OK", "REACH_PRIVATE"]),
        (replace(NOWHERE, ports=(("/a", ""),), public=("/a",)), ["PORT_OK", "REACH_DIRECT"]),
        (replace(NOWHERE, ports=(("/a", "taken"),)), ["PORT_UNUSABLE", "REACH_OUTBOUND"]),
        (replace(NOWHERE, private=("/a",), relays=(("/r", ""),)), ["REACH_RELAY"]),
        (
            replace(NOWHERE, relays=(("/r", "gone"), ("/s", ""))),
            ["RELAY_AWAY", "REACH_RELAY"],
        ),
        (
            replace(NOWHERE, relays=(("/r", "gone"),), wants_callers=True),
            ["RELAY_AWAY", "REACH_NOBODY"],
        ),
    ],
)
def test_who_can_dial_us(facts: ReachFacts, expected: list[str]) -> None:
    assert codes(judge_reach(facts)) == expected


# --- the ledger --------------------------------------------------------------------------------

LEDGER = LedgerFacts("", "g", "g", has_program=True, lag_s=1)


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        (LEDGER, ["LEDGER_OK"]),
        (LedgerFacts("no route"), ["LEDGER_AWAY"]),
        (replace(LEDGER, genesis_hash="h"), ["LEDGER_OTHER_CHAIN"]),
        (replace(LEDGER, has_program=False), ["LEDGER_NO_PROGRAM"]),
        (replace(LEDGER, no_market="nothing there"), ["LEDGER_NO_MARKET"]),
        (replace(LEDGER, lag_s=61), ["LEDGER_LAGS", "LEDGER_OK"]),
        # A chain whose clock was moved on, as a devnet's, is not behind.
        (replace(LEDGER, lag_s=-86_400), ["LEDGER_OK"]),
        (replace(LEDGER, second_away="gone"), ["LEDGER_SECOND_AWAY", "LEDGER_OK"]),
    ],
)
def test_what_is_said_of_the_ledger(facts: LedgerFacts, expected: list[str]) -> None:
    assert codes(judge_ledger(facts)) == expected


def test_every_finding_that_is_not_ok_says_what_to_do() -> None:
    everything: list[tuple[Finding, ...]] = [
        judge_engine(EngineFacts(None, "x")),
        judge_keys(KeyFacts((KeyFile("a", 0o644),), ("b",), "/n", 0o755)),
        judge_disk(DiskFacts("/n", "", 0, "x")),
        judge_reach(replace(NOWHERE, ports=(("/a", "x"),), wants_callers=True)),
        judge_ledger(LedgerFacts("x")),
        judge_gpus(GpuFacts(True, GpuReading(note=UPDATED))),
    ]
    for finding in (each for found in everything for each in found):
        assert finding.fix or CODES[finding.code].severity is Severity.OK
