"""A WebSocket into a job at its path, and at the same path a page about it for who asks without upgrading."""

from collections.abc import Awaitable, Callable
from typing import Annotated

from fastapi import Depends, FastAPI
from starlette.responses import Response
from starlette.routing import WebSocketRoute

from ..store.accounts import Account
from .auth import Caller, Gate
from .errors import error_response
from .job_socket import JobSockets
from .openapi import errors
from .paths import API


def add_job_socket(
    app: FastAPI,
    name: str,
    sockets: JobSockets,
    gate: Gate,
    check: Callable[[Account, str], Awaitable[object]],
    *,
    summary: str,
    about: str,
) -> None:
    """Add both below a task.

    Args:
        name: of the path's end.
        check: as `JobSockets` has it.
        about: which tasks take it, and what is said, for the API's page.
    """
    path = f"{API}/tasks/{{task_id}}/{name}"
    app.router.routes.append(WebSocketRoute(path, sockets))

    @app.get(
        path,
        tags=["Tasks"],
        summary=f"{summary} (WebSocket)",
        description=f"Upgrade to a WebSocket, with the key in the `Authorization` header. {about}",
        response_class=Response,
        responses={
            101: {"description": "The WebSocket."},
            **errors(
                "UPGRADE_REQUIRED",
                "UNAUTHORIZED",
                "FORBIDDEN",
                "NOT_FOUND",
                "CONFLICT",
                "RATE_LIMITED",
            ),
        },
    )
    async def explain_upgrade(task_id: str, caller: Annotated[Caller, Depends(gate)]) -> Response:
        await check(caller.account, task_id)
        return error_response(
            "UPGRADE_REQUIRED",
            "this is a WebSocket: connect with ws:// or wss://",
            headers={"Upgrade": "websocket", "Connection": "Upgrade"},
        )
