"""Before a machine of the fleet is offered: a job on it says from inside how it is held, and reads and
writes the folder that all machines are to share.

What an engine's API cannot ask for (docs/fleet.md) the machine has to do by itself. Whether it does is not
believed of anybody's configuration.
"""

import json
import secrets
from collections.abc import Mapping
from typing import Any, Final

import trio

from neurogrid_node.container.errors import EngineError, MachineUnavailable
from neurogrid_node.container.job_engine import Abilities, JobEngine
from neurogrid_node.container.probe import judge
from neurogrid_node.container.spec import ContainerSpec, ImageInfo
from neurogrid_node.files.workspace import DiskError, Workspaces
from neurogrid_node.fleet.machines import FleetEngine, Machine

# An image of this size may have to be pulled first.
_PATIENCE_S: Final = 120
_MEMORY_BYTES: Final = 128 << 20
_PIDS: Final = 32
_DISK_BYTES: Final = 1 << 20
_FACTS_BYTES_MAX: Final = 64 * 1024
_WORD: Final = "word"
# How many processes a job may be able to make where each machine gives any as many: what kubelets are mostly
# set to.
PIDS_MAX: Final = 1024
_REACH_S: Final = 2

# Runs inside; needs only python3 in the image. The first line is what the probe says of itself (`probe`).
_SCRIPT: Final = """
import ctypes, errno, json, os, socket, threading, time
status = dict(line.split(":", 1) for line in open("/proc/self/status"))
libc = ctypes.CDLL(None, use_errno=True)
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
}))
def trace():
    if libc.ptrace(0, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "ptrace")
def answer():
    with open("/outputs/word", "x") as file:
        file.write(first("/inputs/word"))
def writable():
    # Beside what a job is given: an image's volumes, which some runtimes lay on the machine's own disk.
    given = ("/proc", "/sys", "/dev", "/tmp", "/inputs", "/outputs")
    places = [line.split() for line in open("/proc/self/mountinfo")]
    return sorted(
        fields[4] for fields in places
        if fields[fields.index("-") + 1] != "tmpfs" and os.path.isdir(fields[4])
        and "rw" in fields[5].split(",") and not any((fields[4] + "/").startswith(way + "/") for way in given)
    )
def reached():
    # A pod's network is what its policy leaves: the cluster's own server and the machine's own programs are
    # there wherever a pod is, and may not be.
    hosts = set(filter(None, os.environ["TRIAL_ADDRESSES"].split(",")))
    for line in open("/proc/net/route").readlines()[1:]:
        gateway = int(line.split()[2], 16)
        if gateway:
            hosts.add(socket.inet_ntoa(gateway.to_bytes(4, "little")))
    ways = [(host, port) for host in hosts for port in (22, 53, 80, 443, 6443, 10250, 10255)]
    server = os.environ.get("KUBERNETES_SERVICE_HOST")
    if server:
        ways.append((server, int(os.environ.get("KUBERNETES_SERVICE_PORT", "443"))))
    tries = {}
    for host, port in sorted(ways):
        one = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
        one.setblocking(False)
        try:
            one.connect_ex((host, port))
        except OSError:
            continue
        tries[one] = host + " " + str(port)
    time.sleep(%(reach_s)d)
    def is_through(one):
        try:
            one.getpeername()
        except OSError:
            return False
        return True
    return sorted({way for one, way in tries.items() if is_through(one)})
def processes():
    # Threads count as processes do, and cost less.
    threading.stack_size(64 * 1024)
    end = threading.Event()
    made = 1
    try:
        while made <= %(pids)d:
            threading.Thread(target=end.wait).start()
            made += 1
    except RuntimeError:
        pass
    end.set()
    return made
swap_max = first("/sys/fs/cgroup/memory.swap.max", "/sys/fs/cgroup/memory/memory.memsw.limit_in_bytes")
memory = dict(line.split(":") for line in open("/proc/meminfo"))
print(json.dumps({
    "swap": 0 if swap_max in ("0", %(memory)r) else int(memory["SwapTotal"].split()[0]),
    "cgroups": sorted({line.split(":", 2)[2].strip() for line in open("/proc/self/cgroup")}),
    "trace": attempt(trace),
    "answer": attempt(answer),
    "gpus": sorted(name for name in os.listdir("/dev") if name.startswith(("nvidia", "dri", "kfd"))),
    "writable": writable(),
    "reached": reached() if %(is_shared)r else [],
    "processes": processes() if %(is_shared)r else 0,
}))
"""


async def trial(
    engine: FleetEngine, workspaces: Workspaces, image: ImageInfo, machine: Machine
) -> tuple[str, ...]:
    """Run one job there; what is wrong, in sentences. Takes a second or two, and a pull.

    Args:
        workspaces: in the folder that is to be shared.
        image: any with python3.

    Raises:
        MachineUnavailable: it has no room for a trial now.
    """
    lease_id = f"trial-{secrets.token_hex(6)}"
    word = secrets.token_hex(16)
    try:
        try:
            workspace = await workspaces.create(lease_id, _DISK_BYTES)
            await trio.Path(workspace.inputs / _WORD).write_text(word)
            spec = ContainerSpec(
                lease_id=lease_id,
                node_id=engine.node_id,
                image=image,
                command=("python3", "-c", _script(engine.abilities)),
                environment=(("TRIAL_ADDRESSES", ",".join(machine.addresses)),),
                cpu_millis=500,
                memory_bytes=_MEMORY_BYTES,
                pids=_PIDS,
                disk_bytes=_DISK_BYTES,
                inputs_path=workspace.inputs,
                outputs_path=workspace.outputs,
                user=workspaces.user,
                machine=machine.machine_id,
            )
            with trio.move_on_after(_PATIENCE_S):
                text = await _said(engine, spec)
                path = trio.Path(workspace.outputs / _WORD)
                came = await path.read_text() if await path.exists() else ""
                return judged(text, spec, engine.abilities, engine.advice, shares=came == word)
            return (f"a job did not end there within {_PATIENCE_S} s",)
        finally:
            with trio.CancelScope(shield=True):
                await engine.remove(f"neurogrid-{lease_id}")
                await workspaces.destroy(lease_id)
    except MachineUnavailable:
        raise
    except (EngineError, DiskError, OSError) as error:
        return (f"no job could be run there: {error}",)


def _script(able: Abilities) -> str:
    return _SCRIPT % {
        "memory": str(_MEMORY_BYTES),
        "pids": PIDS_MAX,
        "reach_s": _REACH_S,
        "is_shared": not (able.own_network and able.own_pids),
    }


async def _said(engine: JobEngine, spec: ContainerSpec) -> str:
    job_id = await engine.create(spec)
    await engine.start(job_id)
    text = ""
    async with engine.follow_logs(job_id, max_bytes=_FACTS_BYTES_MAX) as chunks:
        async for chunk in chunks:
            text += chunk.text
    return text


def judged(
    text: str,
    spec: ContainerSpec,
    able: Abilities,
    advice: Mapping[str, str],
    *,
    shares: bool,
) -> tuple[str, ...]:
    """What is wrong with a machine. Pure.

    Args:
        text: what the job there printed.
        able: what its engine holds by itself.
        advice: what to do, by what is wrong: the name of a fact, or "shared".
        shares: whether what it wrote has come here.
    """
    try:
        facts, more = (json.loads(line) for line in text.splitlines())
    except ValueError:
        return (f"the trial said nothing sensible: {text[-500:]!r}",)
    found = [_named(failure, advice) for failure in judge(facts, spec, able)]
    found += [f"{words}{_to_do(name, advice)}" for name, words in _judged_further(more)]
    if not shares:
        found.append(f"what a job there writes does not come here{_to_do('shared', advice)}")
    return tuple(found)


def _to_do(name: str, advice: Mapping[str, str]) -> str:
    return f": {advice[name]}" if name in advice else ""


def _named(failure: str, advice: Mapping[str, str]) -> str:
    """One of the probe's findings, which name their fact."""
    for name in advice:
        if f"({name} is " in failure:
            return failure + _to_do(name, advice)
    return failure


def _judged_further(facts: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Names of facts, and what is wrong with them."""
    found = []
    if facts.get("trace") != "EPERM":
        found.append(("trace", "system calls are not filtered by our list"))
    if facts.get("cgroups") != ["/"]:
        found.append(("cgroups", "jobs see the engine's control groups"))
    if facts.get("swap") != 0:
        found.append(("swap", "jobs would use swap beyond their memory"))
    if facts.get("gpus") != []:
        found.append(("gpus", f"jobs see GPUs that nobody gave them: {facts.get('gpus')}"))
    if facts.get("answer") != "done":
        found.append(("answer", f"a job cannot write its outputs ({facts.get('answer')})"))
    if facts.get("writable") != []:
        words = f"an image's volumes are places to write without a limit: {facts.get('writable')}"
        found.append(("writable", words))
    if facts.get("reached") != []:
        words = f"jobs have a network, and reach {facts.get('reached')}"
        found.append(("reached", words))
    processes = facts.get("processes")
    if not isinstance(processes, int) or processes > PIDS_MAX:
        found.append(("processes", f"a job can make more than {PIDS_MAX} processes"))
    return found
