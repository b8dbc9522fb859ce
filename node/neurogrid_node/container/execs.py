"""Commands that run beside a job, in its container: started by the engine, followed on a socket.

A command gets what the job has and nothing more: its user, its namespaces, its limits, and (the engine sees to
that) its capabilities and its seccomp filter. What the engine cannot do, ending it, `processes` does.
"""

import signal
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any, Final

import trio

from neurogrid_node.container import processes
from neurogrid_node.container.docker import DockerClient
from neurogrid_node.container.errors import (
    ContainerGone,
    EngineConflict,
    EngineRefused,
    EngineUnavailable,
)

# By this a restarted daemon knows what it has started from what the machine's owner has.
MARK: Final = "NEUROGRID_EXEC"
_PIECE_BYTES: Final = 32 * 1024
_HEADER: Final = struct.Struct(">BxxxI")
_STDERR: Final = 2
# From the engine's answer to the process, and from the end of its output to its exit code.
_LOOK_INTERVAL_S: Final = 0.02
_START_LIMIT_S: Final = 30.0
_EXIT_CODE_LIMIT_S: Final = 10.0


@dataclass(frozen=True, slots=True)
class ExecSpec:
    """A command as it is to run.

    Attributes:
        columns, rows: of its terminal.
        term: kind of its terminal; "" for none.
    """

    command: tuple[str, ...]
    tty: bool = False
    columns: int = 80
    rows: int = 24
    term: str = ""


@dataclass(frozen=True, slots=True)
class Output:
    """A piece of what a command says; of one with a terminal, nothing is an error."""

    data: bytes
    is_error: bool = False


class RunningExec:
    """A command that was started. Made by `Execs.run`; read by one task and written by one task."""

    def __init__(
        self,
        client: DockerClient,
        container_id: str,
        exec_id: str,
        sock: trio.socket.SocketType,
        arrived: bytes,
        *,
        tty: bool,
    ) -> None:
        self._client = client
        self._container_id = container_id
        self._exec_id = exec_id
        self._socket = sock
        self._data = bytearray(arrived)
        self._tty = tty
        self._pid = 0
        self._has_ended = False

    async def read(self) -> Output | None:
        """What it says next; None when it says no more. Not read, it waits.

        Raises:
            EngineUnavailable: the engine broke off.
        """
        while True:
            piece = self._piece()
            if piece is not None:
                return piece
            try:
                data = await self._socket.recv(_PIECE_BYTES)
            except OSError as error:
                raise EngineUnavailable(f"the engine broke off: {error}") from error
            if not data:
                return None
            self._data += data

    async def write(self, data: bytes) -> None:
        """Give it all of this; waits while it takes none. One that takes no more is no error."""
        with suppress(OSError), memoryview(data) as left:
            sent = 0
            while sent < len(left):
                sent += await self._socket.send(left[sent:])

    async def end_input(self) -> None:
        """There will be no more of it."""
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_WR)

    async def resize(self, columns: int, rows: int) -> None:
        """Its terminal has another size; nothing where it has ended."""
        with suppress(ContainerGone, EngineRefused):
            await self._client.look(self._client.api.exec_resize, self._exec_id, rows, columns)

    async def signal(self, number: signal.Signals) -> None:
        """Signal it; nothing where it has ended."""
        with processes.held(self._pid, self._container_id) as command:
            if command is not None:
                command.send(number)

    async def exit_code(self) -> int:
        """Its exit code, once it has ended: 128 and a signal's number where one ended it.

        Raises:
            EngineError: it is not known: the engine is away, or the container was removed at once.
        """
        with processes.held(self._pid, self._container_id) as command:
            # It may have closed its output and run on.
            if command is not None:
                await command.ended()
        with trio.move_on_after(_EXIT_CODE_LIMIT_S):
            while True:
                found = await self._inspect()
                if not found["Running"] and found["ExitCode"] is not None:
                    self._has_ended = True
                    return int(found["ExitCode"]) & 0xFF
                await trio.sleep(_LOOK_INTERVAL_S)
        raise EngineUnavailable("the engine does not say how the command ended")

    async def end(self) -> None:
        """End it, if it runs, with what it has started; what it has left when it ended by itself stays."""
        if not self._has_ended:
            await _end(self._pid, self._container_id)

    async def find(self) -> None:
        """Wait until it runs, or has ended: the engine answers before it has started anything.

        Raises:
            EngineError: the engine does not tell its process.
        """
        with trio.move_on_after(_START_LIMIT_S):
            while True:
                found = await self._inspect()
                self._pid = int(found["Pid"])
                if self._pid or found["ExitCode"] is not None:
                    return
                await trio.sleep(_LOOK_INTERVAL_S)
        raise EngineUnavailable("the engine does not start the command")

    async def _inspect(self) -> dict[str, Any]:
        found: dict[str, Any] = await self._client.look(
            self._client.api.exec_inspect, self._exec_id
        )
        return found

    def _piece(self) -> Output | None:
        """The next of the engine's stream: bytes of a terminal, or marked pieces of two outputs."""
        if self._tty:
            which, begin, end = 0, 0, len(self._data)
        elif len(self._data) < _HEADER.size:
            return None
        else:
            which, length = _HEADER.unpack_from(self._data)
            begin, end = _HEADER.size, _HEADER.size + length
        if not self._data or len(self._data) < end:
            return None
        data = bytes(self._data[begin:end])
        del self._data[:end]
        return Output(data, which == _STDERR)


class Execs:
    """Commands in the containers of one engine."""

    def __init__(self, client: DockerClient) -> None:
        self._client = client

    @asynccontextmanager
    async def run(self, container_id: str, spec: ExecSpec) -> AsyncIterator[RunningExec]:
        """Start a command; leaving ends it.

        Raises:
            ContainerGone: there is no such container.
            EngineConflict: it does not run, or is paused.
            EngineError: what else the engine says.
        """
        environment = {MARK: "1"} | ({"TERM": spec.term} if spec.term else {})
        found = await self._client.look(self._client.api.inspect_container, container_id)
        made = await self._client.change(
            self._client.api.exec_create,
            found["Id"],
            list(spec.command),
            stdin=True,
            tty=spec.tty,
            privileged=False,
            # The job's; without it the image's own would count.
            user=found["Config"]["User"],
            environment=environment,
        )
        exec_id = str(made["Id"])
        sock, arrived = await self._client.change(self._client.start_exec, exec_id, tty=spec.tty)
        with trio.socket.from_stdlib_socket(sock) as connection:
            running = RunningExec(
                self._client, str(found["Id"]), exec_id, connection, arrived, tty=spec.tty
            )
            try:
                with trio.CancelScope(shield=True):
                    # Without its number, nobody could end it.
                    await running.find()
                if spec.tty:
                    await running.resize(spec.columns, spec.rows)
                yield running
            finally:
                with trio.CancelScope(shield=True):
                    await running.end()

    async def end_left(self, container_id: str) -> int:
        """End the commands that an earlier life of this daemon has left in a container; how many.

        Raises:
            EngineError: the engine is away.
        """
        try:
            view = await self._client.look(self._client.api.inspect_container, container_id)
        except ContainerGone:
            return 0
        ended = 0
        for exec_id in view.get("ExecIDs") or ():
            try:
                found = await self._client.look(self._client.api.exec_inspect, exec_id)
            except (ContainerGone, EngineConflict):
                continue
            pid = int(found["Pid"])
            if found["Running"] and pid and processes.has_variable(pid, MARK):
                await _end(pid, str(view["Id"]))
                ended += 1
        return ended


async def _end(pid: int, container_id: str) -> None:
    if pid:
        with processes.held(pid, container_id) as command:
            if command is not None:
                await command.end()
