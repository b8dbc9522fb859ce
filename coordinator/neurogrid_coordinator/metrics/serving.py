"""The address at which Prometheus asks, beside the API's: operators keep it to themselves."""

import asyncio
import logging
import socket
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ..server.http_server import CancellableServer
from .catalogue import CATALOGUE
from .reading import Reading, samples

_log = logging.getLogger(__name__)

REQUESTS_MAX = 8
_AGAIN_S = 30.0


async def serve_metrics(
    host: str, port: int, read: Callable[[], Awaitable[Reading]], again_s: float = _AGAIN_S
) -> None:
    """Answer for ever. An address that is taken is tried again: tasks do not depend on who watches them."""
    # Here: it is only for those who want it.
    from neurogrid_telemetry.exposition import Exposition

    exposition = Exposition(CATALOGUE)

    async def show(request: Request) -> Response:
        found = samples(await read())
        body, content_type = exposition.render(found, request.headers.get("accept", ""))
        return Response(body, headers={"content-type": content_type})

    app = Starlette(routes=[Route("/metrics", show, methods=["GET"])])
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    complaint = ""
    while True:
        try:
            listener = socket.create_server((host, port), family=family)
        except OSError as error:
            if str(error) != complaint:
                complaint = str(error)
                _log.error("[metrics] listen: %s port %d: %s; trying again", host, port, error)
            await asyncio.sleep(again_s)
            continue
        with listener:
            await _Server(
                uvicorn.Config(
                    app,
                    log_level="warning",
                    access_log=False,
                    lifespan="off",
                    limit_concurrency=REQUESTS_MAX,
                )
            ).serve(sockets=[listener])


class _Server(CancellableServer):
    """One that leaves signals to the API's."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield
