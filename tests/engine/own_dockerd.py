"""A Docker engine of a test's own, which it may kill: the machine's has other people's containers."""

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

import docker
import psutil

# Of the host's user ids, that which is root in the containers of a remapped engine.
REMAPPED_ROOT = 1_000_000
_REMAPPED_IDS = 65536
# dockerd looks the range up where the machine's own users have theirs; this one sees a file of the test's. And a device
# for gangs that everybody may open, as udev makes it.
_REMAPPING = """
set -e
mount --bind "$0/subuid" /etc/subuid
mount --bind "$0/subuid" /etc/subgid
mount -t tmpfs none "$0/dev"
mknod -m 666 "$0/dev/tun" c 10 200
mount --bind "$0/dev/tun" /dev/net/tun
exec "$@"
"""
_UP_LIMIT_S = 120
_DOWN_LIMIT_S = 60


class OwnDockerd:
    """See the module; made by `own_dockerd`.

    Attributes:
        data: the folder in which it keeps images, layers and containers.
    """

    def __init__(self, folder: Path, *, is_remapped: bool = False) -> None:
        """
        Args:
            folder: for everything of it; short, because sockets lie in it.
            is_remapped: whether root in its containers is `REMAPPED_ROOT`. It then cannot go on after `kill`,
                because nobody else sees what it mounts; and of what others mount it sees what is in
                `shared`.
        """
        self.shared = folder / "shared"
        self.url = f"unix://{folder}/docker.sock"
        self.data = folder / "data"
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self._remapping: list[str] = []
        if is_remapped:
            self.shared.mkdir()
            subprocess.run(["mount", "--bind", self.shared, self.shared], check=True)
            subprocess.run(["mount", "--make-shared", self.shared], check=True)
            (folder / "dev").mkdir()
            (folder / "subuid").write_text(f"daemon:{REMAPPED_ROOT}:{_REMAPPED_IDS}\n")
            apart = ["unshare", "--mount", "--propagation=slave", "sh", "-c", _REMAPPING]
            self._remapping = [*apart, str(folder)]

    def start(self, *flags: str) -> None:
        """Start it, and wait until it answers.

        Args:
            flags: of dockerd, beside those that keep it apart from the machine's.
        """
        folder = self._folder
        with (folder / "dockerd.log").open("ab") as log:
            self._process = subprocess.Popen(
                [
                    *("nsenter", f"--net=/proc/{_network().pid}/ns/net"),
                    *self._remapping,
                    "dockerd",
                    f"--host={self.url}",
                    f"--data-root={self.data}",
                    f"--exec-root={folder}/exec",
                    f"--pidfile={folder}/dockerd.pid",
                    # The machine's containerd may be the one that is found.
                    f"--containerd-namespace=test-{os.getpid()}",
                    f"--containerd-plugins-namespace=test-plugins-{os.getpid()}",
                    # Jobs have no network.
                    "--bridge=none",
                    "--iptables=false",
                    "--ip-forward=false",
                    *(["--userns-remap=daemon"] if self._remapping else []),
                    *flags,
                ],
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        deadline_s = time.monotonic() + _UP_LIMIT_S
        while not self._answers():
            ended = self._process.poll()
            words = (folder / "dockerd.log").read_text()[-2000:]
            assert ended is None, f"dockerd ended with {ended}: {words}"
            assert time.monotonic() < deadline_s, f"dockerd does not answer: {words}"
            time.sleep(0.1)

    def kill(self) -> None:
        """kill -9. Its containers run on, until it is started again."""
        assert self._process is not None, "it runs"
        self._process.kill()
        self._process.wait()
        # Its containerd dies with it. Where nobody reaps orphans, the dead one's number would still be
        # taken for a running one's.
        for name in ("dockerd.pid", "exec/containerd/containerd.pid"):
            (self._folder / name).unlink(missing_ok=True)

    def take_images(self, *references: str) -> None:
        """Copy images of the machine's engine."""
        with subprocess.Popen(["docker", "save", *references], stdout=subprocess.PIPE) as saved:
            subprocess.run(
                ["docker", "--host", self.url, "load"],
                check=True,
                stdin=saved.stdout,
                stdout=subprocess.DEVNULL,
            )
        assert saved.returncode == 0, "docker save"

    def docker(self, *arguments: str) -> str:
        """What the docker command says of it."""
        asked = ["docker", "--host", self.url, *arguments]
        return subprocess.run(asked, check=True, text=True, capture_output=True).stdout

    def pids(self) -> set[int]:
        """Of itself and its containerd."""
        assert self._process is not None, "it runs"
        started = psutil.Process(self._process.pid).children()
        return {self._process.pid} | {process.pid for process in started}

    def stop(self) -> None:
        """End it and everything that it started."""
        if self._process is None:
            return
        if self._answers():
            client = docker.DockerClient(base_url=self.url)
            for container in client.containers.list(all=True):
                container.remove(force=True)
            client.close()
        self._process.terminate()
        try:
            self._process.wait(_DOWN_LIMIT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        # Its containerd is its child as long as it lives, and nobody's after a kill -9.
        for process in psutil.process_iter(["cmdline"]):
            if any(str(self._folder) in word for word in process.info["cmdline"] or ()):
                with suppress(psutil.NoSuchProcess):
                    process.send_signal(signal.SIGKILL)
                    process.wait(_DOWN_LIMIT_S)
        for mounted in reversed(_mounts_below(self._folder)):
            subprocess.run(["umount", "--lazy", mounted], check=False)
        shutil.rmtree(self._folder, ignore_errors=True)

    def _answers(self) -> bool:
        # By hand: docker-py and httpx leave the socket of a refused connection open.
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(_UP_LIMIT_S)
            try:
                connection.connect(self.url.removeprefix("unix://"))
                connection.sendall(b"GET /_ping HTTP/1.0\r\n\r\n")
                return b" 200 " in connection.recv(64)
            except OSError:
                return False


@cache
def _network() -> "subprocess.Popen[bytes]":
    """Holds the network of this process's engines: in the machine's, one without a bridge would remove the
    bridge of the machine's own engine, and a swarm would leave one of its own.
    """
    holder = subprocess.Popen(
        # It ends with whoever holds the other end of its input: us, also when we are killed.
        ["unshare", "--net", "sh", "-c", "ip link set lo up && echo && exec cat"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert holder.stdout is not None, "a pipe was asked for"
    assert holder.stdout.readline(), "iproute2 and root are needed"
    return holder


def network_pid() -> int:
    """Of a process in the network that this process's engines have."""
    return _network().pid


def _mounts_below(folder: Path) -> list[str]:
    lines = Path("/proc/self/mounts").read_text().splitlines()
    return [line.split()[1] for line in lines if line.split()[1].startswith(f"{folder}/")]


@contextmanager
def own_dockerd(folder: Path, *flags: str, is_remapped: bool = False) -> Iterator[OwnDockerd]:
    """A running engine for the length of the block; nothing of it is left."""
    folder.mkdir(parents=True)
    engine = OwnDockerd(folder, is_remapped=is_remapped)
    try:
        engine.start(*flags)
        yield engine
    finally:
        engine.stop()
