"""Machines and networks that are not there: network namespaces, joined by cables and NATs.

    public        198.51.100.1, and the bridge that everything public is plugged into
    <name>        a machine at 10.<n>.0.2, behind
    <name>-nat    its router, 198.51.100.<n + 1>: masquerades, and lets nothing in that it did not ask for

    <name>        or one that is plugged into the public network itself, at 198.51.100.<n + 100>

Nothing touches the machine's own network. Namespaces carry the number of the process that made them,
so that the next run removes what a killed one left; their processes die with it (`processes`).
"""

import ctypes
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

# From <sched.h>.
_CLONE_NEWNET = 0x40000000
_PREFIX = "ngt"
PUBLIC = "public"
PUBLIC_IP = "198.51.100.1"


class Topology:
    """One public network and the machines around it. Made by `topology`."""

    def __init__(self) -> None:
        self._machines: list[str] = []
        self._add(PUBLIC)
        self._in(PUBLIC, "ip link add br0 type bridge")
        self._in(PUBLIC, f"ip addr add {PUBLIC_IP}/24 dev br0")
        self._in(PUBLIC, "ip link set br0 up")

    def add_behind_nat(self, name: str) -> str:
        """Add a machine behind a NAT of its own; its address, which nobody outside can use."""
        number = len(self._machines) + 1
        self._machines.append(name)
        router = f"{name}-nat"
        self._add(router)
        self._add(name)
        public, inside = _namespace(PUBLIC), _namespace(name)
        self._in(router, f"ip link add wan type veth peer name to{number} netns {public}")
        self._in(PUBLIC, f"ip link set to{number} master br0 up")
        self._in(router, f"ip addr add 198.51.100.{number + 1}/24 dev wan")
        self._in(router, "ip link set wan up")
        self._in(router, f"ip link add lan type veth peer name eth0 netns {inside}")
        self._in(router, f"ip addr add 10.{number}.0.1/24 dev lan")
        self._in(router, "ip link set lan up")
        self._in(name, f"ip addr add 10.{number}.0.2/24 dev eth0")
        self._in(name, "ip link set eth0 up")
        self._in(name, f"ip route add default via 10.{number}.0.1")
        with inside_of(router):
            Path("/proc/sys/net/ipv4/ip_forward").write_text("1")
        self._in(router, "iptables -t nat -A POSTROUTING -o wan -j MASQUERADE")
        self._in(router, "iptables -P FORWARD DROP")
        self._in(router, "iptables -A FORWARD -i lan -j ACCEPT")
        accept = "-m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT"
        self._in(router, f"iptables -A FORWARD -i wan {accept}")
        return f"10.{number}.0.2"

    def add_public(self, name: str) -> str:
        """Add a machine on the public network itself, which multicast reaches; its address."""
        number = len(self._machines) + 1
        self._machines.append(name)
        self._add(name)
        self._in(
            name, f"ip link add eth0 type veth peer name to{number} netns {_namespace(PUBLIC)}"
        )
        self._in(PUBLIC, f"ip link set to{number} master br0 up")
        self._in(name, f"ip addr add 198.51.100.{number + 100}/24 dev eth0")
        self._in(name, "ip link set eth0 up")
        return f"198.51.100.{number + 100}"

    def cut(self, name: str) -> None:
        """Pull the cable between a machine's router and the public network: packets vanish."""
        self._in(PUBLIC, f"ip link set to{self._machines.index(name) + 1} down")

    def mend(self, name: str) -> None:
        """Plug it in again."""
        self._in(PUBLIC, f"ip link set to{self._machines.index(name) + 1} up")

    def _add(self, name: str) -> None:
        _run(f"ip netns add {_namespace(name)}")
        self._in(name, "ip link set lo up")

    def _in(self, name: str, command: str) -> None:
        _run(f"ip netns exec {_namespace(name)} {command}")


@contextmanager
def topology() -> Iterator[Topology]:
    """A public network; at the end everything that was added is gone."""
    remove_abandoned()
    try:
        yield Topology()
    finally:
        for namespace in _of_process(os.getpid()):
            _run(f"ip netns del {namespace}")


def command_in(name: str, *command: str) -> list[str]:
    """A command that runs on a machine, and is killed when this process dies.

    Only the network is the machine's: `ip netns exec` would hide its mounts from the container engine.
    """
    killed_with_parent = ["setpriv", "--pdeathsig", "KILL", "--"]
    # The parent may have died before the kernel was told to signal its death.
    if_parent_lives = ["sh", "-c", f'[ "$PPID" = {os.getpid()} ] && exec "$@"', "sh"]
    network = f"--net={_file(name)}"
    return [*killed_with_parent, *if_parent_lives, "nsenter", network, "--", *command]


@contextmanager
def inside_of(name: str) -> Iterator[None]:
    """This thread's new sockets are the machine's; those it has stay where they are."""
    with Path("/proc/thread-self/ns/net").open() as home, _file(name).open() as there:
        _enter(there.fileno())
        try:
            yield
        finally:
            _enter(home.fileno())


def remove_abandoned() -> None:
    """Remove the namespaces of processes that are no more."""
    for process in {namespace.split("-")[1] for namespace in _namespaces()}:
        if not Path(f"/proc/{process}").exists():
            for namespace in _of_process(int(process)):
                _run(f"ip netns del {namespace}")


def _enter(descriptor: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(descriptor, _CLONE_NEWNET) != 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))


def _namespaces() -> list[str]:
    listed = subprocess.run(["ip", "netns"], check=True, capture_output=True, text=True).stdout
    # Some are listed as "name (id: 0)".
    names = [line.split()[0] for line in listed.splitlines() if line]
    return [name for name in names if name.startswith(f"{_PREFIX}-")]


def _of_process(pid: int) -> list[str]:
    return [name for name in _namespaces() if name.split("-")[1] == str(pid)]


def _namespace(name: str) -> str:
    return f"{_PREFIX}-{os.getpid()}-{name}"


def _file(name: str) -> Path:
    return Path("/run/netns") / _namespace(name)


def _run(command: str) -> None:
    done = subprocess.run(command.split(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}: {done.stderr}"
