"""``/tasks/{task_id}/exec``: a command beside a running job, over a WebSocket.

    -> {"command": ["sh"], "tty": true, "columns": 80, "rows": 24, "term": "xterm", "credit": true}
    <- {"type": "started"}
    -> binary: input of the command            <- binary: 1 and its output, 2 and its errors
    -> {"type": "end_of_input"}                <- {"type": "credit", "bytes": 32768}
    -> {"type": "resize", "columns": 100, "rows": 30}
    -> {"type": "signal", "name": "INT"}
    -> {"type": "credit", "bytes": 32768}
    <- {"type": "exited", "exit_code": 0, "reason": "exited"}, or {"type": "error", "status": 503, "error": {...}}

Credit says how many bytes the other side took. With it, each side sends at most 128 KiB ahead of what the
other took, and may take its time for as long as it likes. Without, a client that does not read for a
minute, or whose command does not, is cut off. A key goes into the header, so no browser's page can send somebody else's.
"""

import asyncio
from contextlib import AbstractAsyncContextManager

import msgspec
from fastapi import FastAPI
from starlette.websockets import WebSocket

from neurogrid_marketplace.fields import Argument
from neurogrid_marketplace.job_stream import Cells, Open, TerminalKind

from ..market.job_stream import JobStream
from ..services.errors import InvalidRequest
from ..services.job_access import JobAccess
from .auth import Caller, Gate
from .job_socket import JobSockets, first_message
from .job_socket_route import add_job_socket

_NO_LEASE = "lease_" + "0" * 32


class _Command(msgspec.Struct, forbid_unknown_fields=True):
    command: list[Argument]
    tty: bool = False
    columns: Cells = 80
    rows: Cells = 24
    term: TerminalKind = ""
    credit: bool = False


def add_exec_route(app: FastAPI, access: JobAccess, gate: Gate, stopping: asyncio.Event) -> None:
    """Add the WebSocket, and a page about it for who asks without upgrading."""

    async def begin(
        websocket: WebSocket, caller: Caller, task_id: str
    ) -> tuple[AbstractAsyncContextManager[JobStream], bool]:
        said = await first_message(websocket, _Command, "command")
        try:
            wanted = Open(
                _NO_LEASE, tuple(said.command), said.tty, said.columns, said.rows, said.term
            )
        except ValueError as error:
            raise InvalidRequest(f"the first message names the command: {error}") from error
        return access.command(caller.account, task_id, wanted), said.credit

    sockets = JobSockets(gate, access.lease, begin, stopping)
    add_job_socket(
        app,
        "exec",
        sockets,
        gate,
        access.lease,
        summary="Run a command beside a running job",
        about="For a task that was submitted with `interactive`, while it runs.\n\n```\n"
        + (__doc__ or "").partition("\n\n")[2]
        + "```",
    )
