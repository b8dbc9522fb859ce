"""Before a node offers anything: a real container says from inside what it can and cannot do.

An engine may accept every option and enforce none (a kernel without the pids controller, a runtime
that ignores seccomp, a toolkit that gives no GPU). What is advertised is what a container saw.
"""

import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import trio

from neurogrid_node.container import Engine
from neurogrid_node.container_profile import ContainerSpec, ImageInfo

_PATIENCE_S: Final = 60
_MEMORY_BYTES: Final = 128 << 20
_PIDS: Final = 32
_FACTS_BYTES_MAX: Final = 64 * 1024

# Runs inside; needs only python3 in the image.
_SCRIPT: Final = """
import ctypes, errno, json, os, socket
status = dict(line.split(":", 1) for line in open("/proc/self/status"))
def first(*paths):
    for path in paths:
        try:
            return open(path).read().strip()
        except OSError:
            pass
    return ""
def attempt(action):
    try:
        action()
    except OSError as error:
        return errno.errorcode.get(error.errno, str(error.errno))
    return "done"
def unshare():
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(0x10000000):
        raise OSError(ctypes.get_errno(), "unshare")
print(json.dumps({
    "uid": os.getuid(),
    "capabilities": int(status["CapEff"], 16) | int(status["CapBnd"], 16) | int(status["CapPrm"], 16),
    "no_new_privileges": status["NoNewPrivs"].strip(),
    "seccomp": status["Seccomp"].strip(),
    "interfaces": sorted(name for _, name in socket.if_nameindex()),
    "write_root": attempt(lambda: open("/probe", "w")),
    "user_namespace": attempt(unshare),
    "engine_socket": os.path.exists("/var/run/docker.sock") or os.path.exists("/run/docker.sock"),
    "memory_max": first("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"),
    "pids_max": first("/sys/fs/cgroup/pids.max", "/sys/fs/cgroup/pids/pids.max"),
    "gpu_devices": sorted(n for n in os.listdir("/dev") if n.startswith("nvidia") and n[6:].isdigit()),
}))
"""


@dataclass(frozen=True, slots=True)
class ProbeReport:
    """What the probe saw.

    Attributes:
        facts: as the container printed them.
        failures: sentences; not empty means that this machine must not run jobs.
    """

    facts: Mapping[str, Any]
    failures: tuple[str, ...]

    @property
    def is_good(self) -> bool:
        return not self.failures


async def probe(
    engine: Engine, image: ImageInfo, *, gpu_uuids: tuple[str, ...] = ()
) -> ProbeReport:
    """Run one hardened container and judge what it reports. Takes about half a second.

    Args:
        image: any with python3, such as the job image we ship.
        gpu_uuids: given to it, all at once.

    Raises:
        EngineError: it could not be created or started; the message says what to do.
    """
    spec = ContainerSpec(
        lease_id=f"probe-{uuid.uuid4().hex[:12]}",
        node_id=engine.node_id,
        image=image,
        command=("python3", "-c", _SCRIPT),
        environment=(),
        cpu_millis=1000,
        memory_bytes=_MEMORY_BYTES,
        pids=_PIDS,
        disk_bytes=0,
        gpu_uuids=gpu_uuids,
    )
    container_id = await engine.create(spec)
    text = ""
    try:
        await engine.start(container_id)
        with trio.move_on_after(_PATIENCE_S):
            async with engine.follow_logs(container_id, max_bytes=_FACTS_BYTES_MAX) as chunks:
                async for chunk in chunks:
                    text += chunk.text
    finally:
        with trio.CancelScope(shield=True):
            await engine.remove(container_id)
    try:
        facts = json.loads(text)
    except ValueError:
        return ProbeReport({}, (f"the probe said nothing sensible: {text[-500:]!r}",))
    return ProbeReport(facts, judge(facts, spec))


def judge(facts: Mapping[str, Any], spec: ContainerSpec) -> tuple[str, ...]:
    """What is missing of the profile, in sentences. Pure."""
    uid = int(spec.user.partition(":")[0])
    expected = {
        "uid": (uid, "jobs do not run as the user they should"),
        "capabilities": (0, "jobs keep capabilities"),
        "no_new_privileges": ("1", "setuid programs could gain privileges"),
        "seccomp": ("2", "no seccomp filter is active"),
        "interfaces": (["lo"], "jobs have a network"),
        "write_root": ("EROFS", "the root filesystem is writable"),
        "user_namespace": ("EPERM", "jobs can make user namespaces"),
        "engine_socket": (False, "the engine's socket is visible to jobs"),
        "memory_max": (str(spec.memory_bytes), "the memory limit is not in force"),
        "pids_max": (str(spec.pids), "the process limit is not in force"),
    }
    failures = [
        f"{what} ({name} is {facts.get(name)!r}, not {value!r})"
        for name, (value, what) in expected.items()
        if facts.get(name) != value
    ]
    visible = len(facts.get("gpu_devices", ()))
    if visible != len(spec.gpu_uuids):
        failures.append(f"{visible} GPUs are visible to a job that was given {len(spec.gpu_uuids)}")
    return tuple(failures)
