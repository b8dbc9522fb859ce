"""Ways into a job while it runs: commands beside it, and its port."""

import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from .errors import NeuroGridError
from .models import ExecResult
from .transport import Transport

if TYPE_CHECKING:
    from .commands import Command
    from .forwarding import Forward


class TaskAccess:
    """Ways into running jobs; a part of `Tasks`."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def exec(self, task_id: str, command: Sequence[str], *, input: bytes = b"") -> ExecResult:
        """Run a command beside a task's job, in its container, until it ends.

        For a task that was submitted with ``interactive``, while it runs. All of what it says is kept
        in memory; `open_exec` hands it out as it comes.

        Raises:
            TaskNotFoundError: there is no such task of this account.
            ConflictError: the task does not run, or its node lets no command in; ``details`` say why.
            ServerError, ConnectionFailed: it can't be started now.
            CommandLost: the connection broke; the command was ended.
        """
        with self.open_exec(task_id, command) as running:
            return gathered(running, input)

    def open_exec(
        self,
        task_id: str,
        command: Sequence[str],
        *,
        tty: bool = False,
        columns: int = 80,
        rows: int = 24,
        term: str = "",
    ) -> "Command":
        """Start a command beside a task's job; close what you get, which ends it.

        Args:
            tty: give it a terminal of this kind and size.

        Raises:
            As `exec`.
        """
        # An HTTP client alone needs no WebSockets.
        from .commands import open_command

        place = self._transport.websocket(f"/tasks/{task_id}/exec")
        return open_command(place, task_id, command, tty=tty, columns=columns, rows=rows, term=term)

    def service_url(self, task_id: str) -> str:
        """Where the coordinator takes HTTP and WebSockets to a task's service; it asks for your key."""
        return self._transport.url(f"/services/{task_id}/")

    def open_port(self, task_id: str) -> "Command":
        """Connect to the port of a task's job, as one TCP connection; close what you get.

        For a task that was submitted with ``service``, while it runs. Iterate it for what comes; `write` and
        `end_input` give it what goes.

        Raises:
            TaskNotFoundError: there is no such task of this account.
            ConflictError: the task does not run, or has no port; ``details`` say why.
            ServerError, ConnectionFailed: it can't be reached now; nothing listens there yet, perhaps.
            CommandLost: the connection broke.
        """
        from .commands import open_port

        return open_port(self._transport.websocket(f"/tasks/{task_id}/port"), task_id)

    def forward(
        self,
        task_id: str,
        local_port: int = 0,
        *,
        host: str = "127.0.0.1",
        on_error: Callable[[NeuroGridError], None] = lambda error: None,
    ) -> "Forward":
        """Listen here, and carry every connection to the port of a task's job; close what you get.

        Args:
            local_port: 0 for any; `Forward.port` says which.
            on_error: told of each connection that can't be carried, by another thread.

        Raises:
            OSError: the port can't be had.
        """
        from .forwarding import Forward

        return Forward(lambda: self.open_port(task_id), host, local_port, on_error)


def gathered(running: "Command", given: bytes) -> ExecResult:
    """Give a command this, and nothing more; all that it says until it ends.

    Raises:
        CommandLost, ApiError: as of `Command.read`.
    """
    said: dict[str, list[bytes]] = {"stdout": [], "stderr": []}

    def give() -> None:
        running.write(given)
        running.end_input()

    giving = threading.Thread(target=give, name="input of a command", daemon=True)
    giving.start()
    try:
        for piece in running:
            said[piece.stream].append(piece.data)
    finally:
        running.close()
        giving.join()
    code = -1 if running.exit_code is None else running.exit_code
    stdout, stderr = b"".join(said["stdout"]), b"".join(said["stderr"])
    return ExecResult(code, stdout, stderr, running.reason)
