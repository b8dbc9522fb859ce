"""``/tasks/{task_id}/port``: a connection to the port of a running job, over a WebSocket.

    -> {"credit": true}
    <- {"type": "started"}
    -> binary: bytes for the service           <- binary: 1 and bytes of the service
    -> {"type": "end_of_input"}                <- {"type": "credit", "bytes": 32768}
    -> {"type": "credit", "bytes": 32768}
    <- {"type": "exited", "exit_code": 0, "reason": "exited"}, or {"type": "error", "status": 503, "error": {...}}

One WebSocket is one TCP connection; `exited` says that the service has closed it. Credit is as for commands (`exec`).
"""

import asyncio
from contextlib import AbstractAsyncContextManager

import msgspec
from fastapi import FastAPI
from starlette.websockets import WebSocket

from ..market.job_stream import JobStream
from ..services.job_access import JobAccess
from .auth import Caller, Gate
from .job_socket import JobSockets, first_message
from .job_socket_route import add_job_socket


class _Connection(msgspec.Struct, forbid_unknown_fields=True):
    credit: bool = False


def add_port_route(app: FastAPI, access: JobAccess, gate: Gate, stopping: asyncio.Event) -> None:
    """Add the WebSocket, and a page about it for who asks without upgrading."""

    async def begin(
        websocket: WebSocket, caller: Caller, task_id: str
    ) -> tuple[AbstractAsyncContextManager[JobStream], bool]:
        said = await first_message(websocket, _Connection, "connection")
        return access.connection(caller.account, task_id), said.credit

    sockets = JobSockets(gate, access.serving, begin, stopping)
    add_job_socket(
        app,
        "port",
        sockets,
        gate,
        access.serving,
        summary="Connect to the port of a running job",
        about="For a task that was submitted with a `service`, while it runs.\n\n```\n"
        + (__doc__ or "").partition("\n\n")[2]
        + "```",
    )
