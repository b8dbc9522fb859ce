"""Runs inside a container and prints, as one line of JSON, what a job finds there.

Not imported by any test: its text is the job. Argument: port of a listener on the host.
"""

import ctypes
import errno
import json
import os
import signal
import socket
import stat
import subprocess
import sys
import threading
from collections.abc import Callable
from functools import partial

libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long

# x86-64 numbers (asm/unistd_64.h) of what container/seccomp.py does not list.
REFUSED = {
    "acct": 163, "add_key": 248, "adjtimex": 159, "bpf": 321, "chroot": 161, "clock_settime": 227,
    "delete_module": 176, "fanotify_init": 300, "finit_module": 313, "fsopen": 430,
    "get_mempolicy": 239, "init_module": 175, "io_uring_enter": 426, "io_uring_register": 427,
    "io_uring_setup": 425, "ioperm": 173, "iopl": 172, "kcmp": 312, "kexec_file_load": 320,
    "kexec_load": 246, "keyctl": 250, "lookup_dcookie": 212, "mbind": 237, "migrate_pages": 256,
    "modify_ldt": 154, "mount": 165, "mount_setattr": 442, "move_mount": 429, "move_pages": 279,
    "name_to_handle_at": 303, "open_by_handle_at": 304, "open_tree": 428, "perf_event_open": 298,
    "pidfd_getfd": 438, "pivot_root": 155, "process_madvise": 440, "process_vm_readv": 310,
    "process_vm_writev": 311, "quotactl": 179, "reboot": 169, "request_key": 249,
    "set_mempolicy": 238, "setdomainname": 171, "sethostname": 170, "setns": 308,
    "settimeofday": 164, "swapoff": 168, "swapon": 167, "syslog": 103, "umount2": 166,
    "unshare": 272, "userfaultfd": 323, "vhangup": 153,
    "ptrace": 101,  # the last: it makes the caller stop at signals
}  # fmt: skip


def call(number: int, *arguments: int) -> str:
    """Name of the error of a system call, or "done"."""
    ctypes.set_errno(0)
    padded = [ctypes.c_long(a) for a in (*arguments, *[0] * (6 - len(arguments)))]
    if libc.syscall(ctypes.c_long(number), *padded) >= 0:
        return "done"
    return errno.errorcode[ctypes.get_errno()]


def calls() -> dict[str, str]:
    """Each refused call's error, made in a child: without a filter some of them change the caller."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.write(writing, json.dumps({name: call(n) for name, n in REFUSED.items()}).encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as answers:
        text = answers.read()
    os.waitpid(pid, 0)
    answered: dict[str, str] = json.loads(text)
    return answered


def attempt(action: Callable[[], object]) -> str:
    try:
        action()
    except OSError as error:
        return errno.errorcode[error.errno or 0]
    return "done"


def reach(address: str, port: int) -> str:
    def connect() -> None:
        with socket.create_connection((address, port), timeout=2):
            pass

    return attempt(connect)


def clone(flags: int) -> str:
    pid = libc.syscall(
        ctypes.c_long(56), ctypes.c_long(flags | signal.SIGCHLD), *[ctypes.c_long(0)] * 4
    )
    if pid == 0:
        os._exit(0)
    if pid < 0:
        return errno.errorcode[ctypes.get_errno()]
    os.waitpid(pid, 0)
    return "done"


def use_32_bit_call() -> int:
    """mov eax, 20 (getpid); int 0x80; ret, in a child: how it ended."""
    program = (
        "import ctypes, mmap\n"
        "page = mmap.mmap(-1, 4096, prot=7)\n"
        "page.write(b'\\xb8\\x14\\x00\\x00\\x00\\xcd\\x80\\xc3')\n"
        "at = ctypes.addressof(ctypes.c_char.from_buffer(page))\n"
        "ctypes.CFUNCTYPE(ctypes.c_int)(at)()\n"
    )
    return subprocess.run(
        [sys.executable, "-c", program], check=False, capture_output=True
    ).returncode


def setuid_programs() -> list[str]:
    found: list[str] = []
    for folder, _, names in os.walk("/", onerror=lambda error: None):
        if folder.startswith(("/proc", "/sys")):
            continue
        for name in names:
            path = os.path.join(folder, name)
            if os.lstat(path).st_mode & (stat.S_ISUID | stat.S_ISGID):
                found.append(path)
    return found


def unix_sockets() -> list[str]:
    with open("/proc/net/unix") as table:
        return [
            line.split()[-1] for line in table.readlines()[1:] if line.split()[-1].startswith("/")
        ]


def thread_runs() -> bool:
    seen: list[int] = []
    thread = threading.Thread(target=lambda: seen.append(1))
    thread.start()
    thread.join()
    return seen == [1]


def lines(path: str) -> list[str]:
    with open(path) as file:
        return file.readlines()


def write(path: str) -> None:
    with open(path, "w"):
        pass


def make_device() -> None:
    os.mknod("/tmp/disk", stat.S_IFBLK | 0o600, os.makedev(7, 0))


WRITTEN = (
    *("/x", "/etc/x", "/usr/x", "/inputs/x", "/inputs/given.txt", "/proc/sys/kernel/hostname"),
    *("/proc/sysrq-trigger", "/sys/x", "/dev/x", "/tmp/x", "/dev/shm/x", "/outputs/x"),
)


def main() -> None:
    port = int(sys.argv[1])
    status = dict(line.split(":", 1) for line in lines("/proc/self/status"))
    limits = {line[:26].strip(): line[26:].split()[1] for line in lines("/proc/self/limits")[1:]}
    mounts = [line.split() for line in lines("/proc/mounts")]
    sets = ("CapEff", "CapPrm", "CapInh", "CapBnd", "CapAmb")
    sockets = ("/var/run/docker.sock", "/run/docker.sock")
    facts = {
        "uid": os.getresuid(),
        "gid": os.getresgid(),
        "groups": os.getgroups(),
        "capabilities": {name: int(status[name], 16) for name in sets},
        "no_new_privileges": status["NoNewPrivs"].strip(),
        "seccomp": status["Seccomp"].strip(),
        "limits": limits,
        "hostname": socket.gethostname(),
        "interfaces": [name for _, name in socket.if_nameindex()],
        "reach": {
            "host": reach("127.0.0.1", port),
            "bridge": reach("172.17.0.1", port),
            "metadata": reach("169.254.169.254", 80),
            "internet": reach("8.8.8.8", 53),
        },
        "processes": [int(name) for name in os.listdir("/proc") if name.isdigit()],
        "unix_sockets": unix_sockets(),
        "engine_socket": [path for path in sockets if os.path.exists(path)],
        "setuid": setuid_programs(),
        "devices": sorted(os.listdir("/dev")),
        "mounts": {m[1]: [m[2], m[3].split(",")] for m in mounts},
        "environment": dict(os.environ),
        "inputs": os.listdir("/inputs"),
        "outputs": os.listdir("/outputs"),
        "write": {path: attempt(partial(write, path)) for path in WRITTEN},
        "device_node": attempt(make_device),
        "refused": calls(),
        "allowed": {
            "threads": thread_runs(),
            "subprocess": subprocess.run([sys.executable, "-c", ""], check=True).returncode == 0,
            "fork": clone(0),
        },
        "clone_user_namespace": clone(0x10000000),
        "clone_network_namespace": clone(0x40000000),
        "clone3": call(435, 0, 0),
        "personality": {"query": call(135, 0xFFFFFFFF), "read_implies_exec": call(135, 0x0400000)},
        "sockets": {
            "vsock": attempt(lambda: socket.socket(socket.AF_VSOCK)),
            "alg": attempt(lambda: socket.socket(socket.AF_ALG, socket.SOCK_SEQPACKET)),
            "packet": attempt(lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW)),
            "netfilter": attempt(lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 12)),
            "raw": attempt(lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, 1)),
            "tcp": attempt(lambda: socket.socket(socket.AF_INET)),
            "unix": attempt(lambda: socket.socket(socket.AF_UNIX)),
        },
        "call_of_32_bits": use_32_bit_call(),
        "kill_others": attempt(lambda: os.kill(-1, 0)),
    }  # fmt: skip
    print(json.dumps(facts))


main()
