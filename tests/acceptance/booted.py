"""This machine's system, booted once more under a systemd of its own: where a service of systemd's really runs.

Its files are this machine's, under a layer of its own; so are its processes, mounts, devices and its container
engine. The network is this machine's, in which a devnet is reached. Only root may, and systemd-nspawn has to be here.
"""

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

# The one folder that is on a disk: layers of images cannot lie on layers.
DISK = Path("/srv")
IMAGES = ("neurogrid/job:1", "neurogrid/probe:1", "neurogrid/scrub:1", "neurogrid/gang-link:1")
# The network is this machine's: an engine without a bridge would remove that of the machine's own engine.
_BRIDGE = "ng-booted"
_ENGINE = {
    "data-root": str(DISK / "docker"),
    "bridge": _BRIDGE,
    "iptables": False,
    "ip-forward": False,
    "live-restore": True,
}
_REPOSITORY = Path(__file__).parents[2]
_CGROUPS = Path("/sys/fs/cgroup")
# nspawn shows what it does not make itself read-only, and no loop devices: a machine has both.
_FURNISH = """
set -e
for folder in /sys/fs/cgroup/*; do
    if mountpoint -q "$folder" && [ ! -L "$folder" ]; then mount -o remount,bind,rw "$folder"; fi
done
mknod -m 660 /dev/loop-control c 10 237
for number in $(seq 0 63); do mknod -m 660 "/dev/loop$number" b 7 "$number"; done
"""
_BOOT_LIMIT_S = 120.0
_COMMAND_LIMIT_S = 300.0


class Booted:
    """See the module; made by `boot`.

    Attributes:
        disk: what it has as `DISK`.
    """

    def __init__(self, pid: int, disk: Path) -> None:
        self.disk = disk
        self._pid = pid

    def run(self, *command: str, given: bytes | None = None) -> str:
        """What a command on it prints; it has to succeed."""
        ran = self.try_run(*command, given=given)
        assert ran.returncode == 0, f"{' '.join(command)}: {ran.stdout!r} {ran.stderr!r}"
        return ran.stdout.decode()

    def try_run(
        self, *command: str, given: bytes | None = None
    ) -> "subprocess.CompletedProcess[bytes]":
        """A command on it, however it ends."""
        # Not its control group: what is no service of its systemd is ours.
        entered = ["nsenter", f"--target={self._pid}", "--mount", "--uts", "--ipc", "--pid"]
        return subprocess.run(
            [*entered, "--root", "--wd", *command],
            input=given,
            capture_output=True,
            timeout=_COMMAND_LIMIT_S,
            check=False,
        )


@contextmanager
def boot() -> Iterator[Booted]:
    """Such a system, with a Docker engine that has our images, until the block ends."""
    with ExitStack() as closing:
        folder = Path(closing.enter_context(TemporaryDirectory(prefix="ng-")))
        for name in ("upper", "work", "root", "disk"):
            (folder / name).mkdir()
        engine = folder / "upper/etc/docker/daemon.json"
        engine.parent.mkdir(parents=True)
        engine.write_text(json.dumps(_ENGINE))
        layers = f"lowerdir=/,upperdir={folder}/upper,workdir={folder}/work"
        mounted = ["mount", "-t", "overlay", "overlay", "-o", layers, str(folder / "root")]
        subprocess.run(mounted, check=True)
        closing.callback(subprocess.run, ["umount", str(folder / "root")], check=True)
        # In groups of its own it makes its own below, and not among the machine's.
        groups = [each / folder.name for each in _hierarchies()]
        for group in groups:
            group.mkdir()
            closing.callback(_remove_group, group)
        nspawn = closing.enter_context(_nspawn(folder, groups))
        first = _first_process(nspawn)
        # Not by its own shutdown, which is for machines: it takes apart every loop device that it sees.
        closing.callback(os.kill, first, signal.SIGKILL)
        booted = Booted(first, folder / "disk")
        _until_up(booted, nspawn)
        booted.run("sh", "-c", _FURNISH)
        subprocess.run(["ip", "link", "add", _BRIDGE, "type", "bridge"], check=True)
        closing.callback(subprocess.run, ["ip", "link", "delete", _BRIDGE], check=True)
        booted.run("systemctl", "start", "docker")
        closing.callback(_empty, booted)
        saved = subprocess.run(["docker", "save", *IMAGES], stdout=subprocess.PIPE, check=True)
        booted.run("docker", "load", given=saved.stdout)
        yield booted


def _hierarchies() -> list[Path]:
    """Where a system's manager keeps its control groups: of version 2, and what goes for it beside version 1."""
    beside = [_CGROUPS / name for name in ("systemd", "unified") if (_CGROUPS / name).is_dir()]
    return beside or [_CGROUPS]


@contextmanager
def _nspawn(folder: Path, groups: list[Path]) -> "Iterator[subprocess.Popen[bytes]]":
    """A system that boots; whoever uses it ends its first process."""
    command = [
        *("systemd-nspawn", "--quiet", f"--directory={folder}/root", "--boot"),
        *("--register=no", "--keep-unit", "--link-journal=no", "--capability=all"),
        f"--bind={folder}/disk:{DISK}",
        # Where this repository lies below /tmp, of which the system has one of its own.
        f"--bind-ro={_REPOSITORY}",
        "--system-call-filter=@mount @keyring bpf",
        # No more than what services need: this machine's own are not ours to start.
        "systemd.unit=basic.target",
    ]
    entering = "".join(f"echo $$ > {group}/cgroup.procs; " for group in groups)
    with (
        (folder / "console").open("wb") as console,
        subprocess.Popen(
            ["sh", "-c", f'{entering}exec "$@"', "sh", *command],
            stdin=subprocess.DEVNULL,
            stdout=console,
            stderr=console,
        ) as process,
    ):
        try:
            yield process
            # It ends with its first process, and not the other way round.
            process.wait(_BOOT_LIMIT_S)
        finally:
            process.kill()


def _first_process(nspawn: "subprocess.Popen[bytes]") -> int:
    """Of the system that is booted, as this machine numbers it."""
    deadline_s = time.monotonic() + _BOOT_LIMIT_S
    while True:
        children = Path(f"/proc/{nspawn.pid}/task/{nspawn.pid}/children").read_text().split()
        for child in children:
            if Path(f"/proc/{child}/comm").read_text().strip() == "systemd":
                return int(child)
        assert nspawn.poll() is None, f"nspawn ended with {nspawn.returncode}"
        assert time.monotonic() < deadline_s, "nothing boots"
        time.sleep(0.05)


def _until_up(booted: Booted, nspawn: "subprocess.Popen[bytes]") -> None:
    deadline_s = time.monotonic() + _BOOT_LIMIT_S
    while booted.try_run("systemctl", "is-active", "basic.target").stdout != b"active\n":
        assert nspawn.poll() is None, "nspawn ended"
        assert time.monotonic() < deadline_s, booted.try_run("systemctl", "list-jobs").stdout
        time.sleep(0.1)


def _empty(booted: Booted) -> None:
    """Leave no container and no mount behind, which would outlive it in this machine's kernel."""
    names = booted.run("docker", "ps", "--all", "--quiet").split()
    if names:
        booted.run("docker", "rm", "--force", *names)
    booted.run("systemctl", "stop", "docker.socket", "docker", "containerd")


def _remove_group(group: Path) -> None:
    """Remove a control group and those below, once the kernel has buried who was in them."""
    deadline_s = time.monotonic() + _BOOT_LIMIT_S
    while group.exists():
        for folder, _, _ in os.walk(group, topdown=False):
            try:
                os.rmdir(folder)
            except OSError:
                assert time.monotonic() < deadline_s, f"{folder} is still in use"
        time.sleep(0.05)
