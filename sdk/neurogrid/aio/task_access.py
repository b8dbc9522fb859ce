"""Ways into a job while it runs, for an event loop: commands beside it, and its port.

What is open is a WebSocket that threads read and write (`neurogrid.commands`), because it flows both ways at once and has
to go on while nobody waits for it; what is called here waits for such a thread, on asyncio and trio alike.
"""

from collections.abc import AsyncGenerator, Callable, Sequence
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Self, TypeVar

from anyio import CancelScope, CapacityLimiter, to_thread

from ..errors import NeuroGridError
from ..models import CommandOutput, ExecResult
from ..task_access import gathered
from ..transport import Transport as ThreadedTransport
from .runtime import blocking
from .transport import Transport

if TYPE_CHECKING:
    from ..commands import Command, SignalName
    from ..forwarding import Forward

T = TypeVar("T")
# Who reads, who writes, and who closes, each of whom may have to wait for another.
_THREADS = 3


class AsyncCommand:
    """A command that runs (`Tasks.open_exec`), or an open connection (`Tasks.open_port`); closing it ends it.

    Iterate it for what it says; one task reads, others may write.

    Attributes:
        exit_code: None while it runs.
        reason: why it ended; "" while it runs.
    """

    def __init__(self, command: "Command") -> None:
        self._command = command
        # Its own: others that wait for ever do not keep this one's threads.
        self._threads = CapacityLimiter(_THREADS)

    @property
    def exit_code(self) -> int | None:
        """None while it runs."""
        return self._command.exit_code

    @property
    def reason(self) -> str:
        """Why it ended; "" while it runs."""
        return self._command.reason

    async def read(self) -> CommandOutput | None:
        """What it says next; None when it has ended. Until you read it, it stops.

        Whoever stops waiting closes it: what comes next is lost.

        Raises:
            CommandLost: the connection broke, here or behind the coordinator.
            ApiError: the coordinator says why it ended it.
        """
        return await self._waiting(self._command.read)

    async def __aiter__(self) -> AsyncGenerator[CommandOutput]:
        """All that it says from here on."""
        while (piece := await self.read()) is not None:
            yield piece

    async def write(self, data: bytes) -> None:
        """Give it input; waits while it takes none. One that has ended takes all."""
        await self._waiting(partial(self._command.write, data))

    async def end_input(self) -> None:
        """No more input comes."""
        await self._waiting(self._command.end_input)

    async def resize(self, columns: int, rows: int) -> None:
        """Its terminal has another size now."""
        await self._waiting(partial(self._command.resize, columns, rows))

    async def signal(self, name: "SignalName") -> None:
        """Send it a signal."""
        await self._waiting(partial(self._command.signal, name))

    async def aclose(self) -> None:
        """End it, if it has not ended."""
        with CancelScope(shield=True):
            await self._waiting(self._command.close)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def gather(self, given: bytes) -> ExecResult:
        """Give it this, and nothing more; all that it says until it ends."""
        return await self._waiting(partial(gathered, self._command, given))

    async def _waiting(self, work: Callable[[], T]) -> T:
        # Closing, which whoever is cancelled does, wakes the thread that is left waiting.
        return await to_thread.run_sync(work, abandon_on_cancel=True, limiter=self._threads)


class AsyncForward:
    """Listens until it is closed. Made by `Tasks.forward`; threads carry what comes.

    Attributes:
        host, port: where it listens.
    """

    def __init__(self, forward: "Forward", transport: ThreadedTransport) -> None:
        self._forward = forward
        self._transport = transport
        self.host, self.port = forward.host, forward.port

    async def wait(self) -> None:
        """Until it is closed."""
        # A thread of its own, however many wait.
        await to_thread.run_sync(
            self._forward.wait, abandon_on_cancel=True, limiter=CapacityLimiter(1)
        )

    async def aclose(self) -> None:
        """Listen no more, and end the connections."""
        with CancelScope(shield=True):
            await blocking(self._forward.close)
            self._transport.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()


class TaskAccess:
    """Ways into running jobs; a part of `Tasks`."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    async def exec(self, task_id: str, command: Sequence[str], *, input: bytes = b"") -> ExecResult:
        """Run a command beside a task's job, in its container, until it ends.

        For a task that was submitted with ``interactive``, while it runs. All of what it says is kept
        in memory; `open_exec` hands it out as it comes.

        Raises:
            TaskNotFoundError: there is no such task of this account.
            ConflictError: the task does not run, or its node lets no command in; ``details`` say why.
            ServerError, ConnectionFailed: it can't be started now.
            CommandLost: the connection broke; the command was ended.
        """
        async with await self.open_exec(task_id, command) as running:
            return await running.gather(input)

    async def open_exec(
        self,
        task_id: str,
        command: Sequence[str],
        *,
        tty: bool = False,
        columns: int = 80,
        rows: int = 24,
        term: str = "",
    ) -> AsyncCommand:
        """Start a command beside a task's job; close what you get, which ends it.

        Args:
            tty: give it a terminal of this kind and size.

        Raises:
            As `exec`.
        """
        # An HTTP client alone needs no WebSockets.
        from ..commands import open_command

        place = await self._transport.websocket(f"/tasks/{task_id}/exec")
        opening = partial(
            open_command, place, task_id, command, tty=tty, columns=columns, rows=rows, term=term
        )
        return AsyncCommand(await blocking(opening))

    def service_url(self, task_id: str) -> str:
        """Where the coordinator takes HTTP and WebSockets to a task's service; it asks for your key."""
        return self._transport.url(f"/services/{task_id}/")

    async def open_port(self, task_id: str) -> AsyncCommand:
        """Connect to the port of a task's job, as one TCP connection; close what you get.

        For a task that was submitted with ``service``, while it runs. Iterate it for what comes; `write` and
        `end_input` give it what goes.

        Raises:
            TaskNotFoundError: there is no such task of this account.
            ConflictError: the task does not run, or has no port; ``details`` say why.
            ServerError, ConnectionFailed: it can't be reached now; nothing listens there yet, perhaps.
            CommandLost: the connection broke.
        """
        from ..commands import open_port

        place = await self._transport.websocket(f"/tasks/{task_id}/port")
        return AsyncCommand(await blocking(open_port, place, task_id))

    async def forward(
        self,
        task_id: str,
        local_port: int = 0,
        *,
        host: str = "127.0.0.1",
        on_error: Callable[[NeuroGridError], None] = lambda error: None,
    ) -> AsyncForward:
        """Listen here, and carry every connection to the port of a task's job; close what you get.

        Args:
            local_port: 0 for any; `AsyncForward.port` says which.
            on_error: told of each connection that can't be carried, by another thread.

        Raises:
            OSError: the port can't be had.
        """
        from ..commands import open_port
        from ..forwarding import Forward

        transport = ThreadedTransport(self._transport.profile)
        path = f"/tasks/{task_id}/port"
        try:
            listening = partial(
                Forward,
                lambda: open_port(transport.websocket(path), task_id),
                host,
                local_port,
                on_error,
            )
            return AsyncForward(await blocking(listening), transport)
        except BaseException:
            transport.close()
            raise
