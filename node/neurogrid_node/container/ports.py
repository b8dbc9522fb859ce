"""Connections to what listens in a job's network, which has its loopback and nothing else.

A socket belongs to the network that it was made in. A thread goes into the job's, makes one and ends; the daemon
connects with it, and neither the job's network nor the machine's changes by that.
"""

import ctypes
import os
import select
import signal
import socket
import threading
from contextlib import suppress
from pathlib import Path
from typing import Final

import trio

from .errors import ContainerGone, EngineUnavailable
from .execs import Output
from .processes import is_inside

_PROC: Final = Path("/proc")
_PIECE_BYTES: Final = 32 * 1024
_CLONE_NEWNET: Final = 0x40000000
_CONNECT_LIMIT_S: Final = 10.0

# Runtimes whose containers' sockets are the kernel's own. gVisor's and Kata's are inside their sandbox.
KERNEL_RUNTIMES: Final = frozenset({"runc", "crun", "youki", "nvidia"})

_libc = ctypes.CDLL(None, use_errno=True)


def no_part_in_another(runtimes: tuple[str, ...]) -> str:
    """Why jobs that run in these have no part in another container's network, or ""."""
    foreign = sorted(set(runtimes) - KERNEL_RUNTIMES)
    if not foreign:
        return ""
    return (
        f"jobs run in {', '.join(foreign)}, where a job has no part in another container's network"
    )


def may_enter(runtimes: tuple[str, ...]) -> bool:
    """Whether this daemon can go into the networks of jobs that run in these: tried with its own."""
    if not set(runtimes) <= KERNEL_RUNTIMES:
        return False
    descriptor = os.pidfd_open(os.getpid())
    try:
        _made_inside(descriptor, socket.AF_INET).close()
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return True


class NotListening(Exception):
    """Nothing takes connections at the port."""


class PortConnection:
    """A connection to a job's port, read and written like a command (`RunningExec`)."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self._stream = stream

    async def read(self) -> Output | None:
        """What comes next; None when the service says no more. Not read, it waits.

        Raises:
            EngineUnavailable: the service broke off.
        """
        try:
            data = await self._stream.receive_some(_PIECE_BYTES)
        except trio.BrokenResourceError as error:
            raise EngineUnavailable("the service broke off") from error
        return Output(bytes(data)) if data else None

    async def write(self, data: bytes) -> None:
        """Give it all of this; one that takes no more is no error: what it says tells."""
        try:
            await self._stream.send_all(data)
        except trio.BrokenResourceError:
            return

    async def end_input(self) -> None:
        """There will be no more of it."""
        try:
            await self._stream.send_eof()
        except trio.BrokenResourceError:
            return

    async def resize(self, columns: int, rows: int) -> None:
        """It has no terminal."""

    async def signal(self, number: signal.Signals) -> None:
        """It is nobody's process."""

    async def exit_code(self) -> int:
        """It has said all that it wanted."""
        return 0

    async def aclose(self) -> None:
        """Close it."""
        await trio.aclose_forcefully(self._stream)


class JobNetwork:
    """The network of one container, for as long as its first process lives; close it.

    Args:
        pid: of that process, on the host.

    Raises:
        ContainerGone: it does not run any more.
        OSError: this daemon may not go into its network.
    """

    def __init__(self, pid: int, container_id: str) -> None:
        if not pid:
            raise ContainerGone(container_id)
        self._container_id = container_id
        self._spare: socket.socket | None = None
        try:
            self._descriptor = os.pidfd_open(pid)
        except ProcessLookupError as error:
            raise ContainerGone(container_id) from error
        try:
            # Looked at only now that the number can't change hands.
            if not is_inside(pid, container_id):
                raise ContainerGone(container_id)
            if _PROC.joinpath(str(pid), "ns/net").samefile(_PROC / "self/ns/net"):
                raise PermissionError("the container has this machine's own network")
        except BaseException:
            self.close()
            raise

    def prepare(self) -> None:
        """Have a socket ready for the next connection: making one takes longer than connecting it. It is joined to nothing."""
        if self._spare is None and not self.is_gone:
            with suppress(OSError):
                self._spare = _made_inside(self._descriptor, socket.AF_INET)

    @property
    def is_gone(self) -> bool:
        """Whether its process has ended: what it ran in has no network any more."""
        if self._descriptor < 0:
            return True
        # Not select: its descriptors end at 1,024.
        poll = select.poll()
        poll.register(self._descriptor, select.POLLIN)
        return bool(poll.poll(0))

    async def connect(self, port: int) -> PortConnection:
        """A connection to a port of it.

        Raises:
            ContainerGone: the container does not run any more.
            NotListening: nothing takes it there.
            OSError: this daemon may not go into its network.
        """
        if self.is_gone:
            raise ContainerGone(self._container_id)
        for family, address in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
            sock = trio.socket.from_stdlib_socket(self._socket(family))
            try:
                with trio.fail_after(_CONNECT_LIMIT_S):
                    await sock.connect((address, port))
                return PortConnection(trio.SocketStream(sock))
            except (OSError, trio.TooSlowError):
                sock.close()
            except BaseException:
                sock.close()
                raise
        raise NotListening(f"nothing takes connections at port {port}")

    def _socket(self, family: socket.AddressFamily) -> socket.socket:
        if family == socket.AF_INET and self._spare is not None:
            spare, self._spare = self._spare, None
            return spare
        return _made_inside(self._descriptor, family)

    def close(self) -> None:
        """Let go of it. Its number may be another descriptor's at once, so whoever is still connecting must not have it."""
        descriptor, self._descriptor = self._descriptor, -1
        os.close(descriptor)
        if self._spare is not None:
            self._spare.close()


async def connect(pid: int, container_id: str, port: int) -> PortConnection:
    """One connection to a port of a container's own network; see `JobNetwork`."""
    network = JobNetwork(pid, container_id)
    try:
        return await network.connect(port)
    finally:
        network.close()


def _made_inside(descriptor: int, family: socket.AddressFamily) -> socket.socket:
    """A socket of the network of the process that a descriptor holds; takes microseconds."""
    made: list[socket.socket | OSError] = []

    def enter() -> None:
        # setns takes a process's descriptor since Linux 5.8, and moves this thread alone.
        if _libc.setns(descriptor, _CLONE_NEWNET):
            number = ctypes.get_errno()
            made.append(OSError(number, os.strerror(number)))
            return
        try:
            made.append(socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK))
        except OSError as error:
            made.append(error)

    # Its own: a thread that has gone in must never do anything else.
    thread = threading.Thread(target=enter, name="into a job's network")
    thread.start()
    thread.join()
    (result,) = made
    if isinstance(result, OSError):
        raise result
    return result
