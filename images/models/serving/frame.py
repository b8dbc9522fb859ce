"""What the servers of all models share: health, the list of models, errors in OpenAI's form, bounds, and the way they end."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import signal
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from models.serving.bodies import encoded
from models.serving.errors import Refused, no_model

PORT = 8000
# Whoever is gone is told nothing: a number of nginx's, which no client sees.
_GONE = 499
_CONNECTIONS_MAX = 256
_HEAD_BYTES_MAX = 64 * 1024
_KEEP_ALIVE_S = 75
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Load:
    """How much a server has to do.

    Attributes:
        running, waiting: requests, or texts of them.
        concurrency: how many are computed at once.
    """

    running: int
    waiting: int
    concurrency: int


@dataclass(frozen=True)
class Options:
    """What the command line says.

    Attributes:
        concurrency: how many requests are computed at once.
        waiting_max: how many more may wait; beyond that they are refused.
        request_s: how long one may take.
        drain_s: how long requests may go on after SIGTERM.
    """

    name: str
    host: str
    port: int
    concurrency: int
    waiting_max: int
    request_s: float
    drain_s: int


class Serving(ABC):
    """A model that is loaded, and its routes.

    Attributes:
        name: what it is called in requests.
        context: tokens that it sees at once; None where it has none.
        request_s: how long a request may take.
    """

    name: str
    context: int | None = None
    request_s: float = 600

    @abstractmethod
    def routes(self) -> list[Route]:
        """Its own."""

    @abstractmethod
    def load(self) -> Load:
        """What it has to do now."""

    @abstractmethod
    async def run(self) -> None:
        """What goes on for as long as the server does."""

    def check_name(self, name: str) -> None:
        """Refuse requests for another model; without a name it is this one.

        Raises:
            Refused: it is not.
        """
        if name not in ("", self.name):
            raise no_model(name[:200], self.name)


def json_answer(value: Any, status: int = 200) -> Response:
    """A value as JSON."""
    return Response(encoded(value), status, media_type="application/json")


async def unless_gone(request: Request, work: Coroutine[Any, Any, Response]) -> Response:
    """The answer of some work, which ends at once when the client is gone. The body has to be read before."""

    async def gone() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass

    doing, leaving = asyncio.ensure_future(work), asyncio.ensure_future(gone())
    try:
        await asyncio.wait((doing, leaving), return_when=asyncio.FIRST_COMPLETED)
        return await doing if doing.done() else Response(status_code=_GONE)
    finally:
        for task in (doing, leaving):
            task.cancel()
        await asyncio.gather(doing, leaving, return_exceptions=True)


class Application:
    """The application: it answers from the beginning, and says that it is not ready until the model is loaded.

    Attributes:
        failed: there is no model to serve.
        stop: ends the server; called then.
    """

    def __init__(self, options: Options, load: Callable[[Options], Serving]) -> None:
        self._options, self._load = options, load
        self._serving: Serving | None = None
        self._created = int(time.time())
        self.failed = False
        self.stop: Callable[[], None] = lambda: None

    def app(self) -> Starlette:
        """As uvicorn runs it."""
        return Starlette(
            routes=[
                Route("/health", self._health),
                Route("/load", self._told_load),
                Route("/v1/models", self._models),
                Route("/v1/models/{name:path}", self._model),
            ],
            exception_handlers={
                Refused: _refusal,  # type: ignore[dict-item] # it is given these alone
                HTTPException: _http_error,  # type: ignore[dict-item] # the same
                Exception: _failure,
            },
            lifespan=self._lifespan,
        )

    @contextlib.asynccontextmanager
    async def _lifespan(self, app: Starlette) -> AsyncIterator[None]:
        working = asyncio.create_task(self._work(app))
        yield
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)

    async def _work(self, app: Starlette) -> None:
        try:
            serving = await asyncio.to_thread(self._load, self._options)
            serving.request_s = self._options.request_s
            app.router.routes.extend(serving.routes())
            self._serving = serving
            _log.warning("%s is ready", serving.name)
            await serving.run()
        # The outermost boundary: a server without a model is to be started anew.
        except Exception:  # noqa: BLE001 - it is logged
            _log.exception("the model can't be served")
            self.failed = True
            self.stop()

    def _ready(self) -> Serving:
        if self._serving is None:
            raise Refused(503, "The model is being loaded.", code="loading", retry_after_s=1)
        return self._serving

    async def _health(self, _: Request) -> Response:
        self._ready()
        return json_answer({"status": "ok"})

    async def _told_load(self, _: Request) -> Response:
        load = self._ready().load()
        return json_answer(
            {
                "server_load": load.running + load.waiting,
                "running": load.running,
                "waiting": load.waiting,
                "concurrency": load.concurrency,
            }
        )

    async def _models(self, _: Request) -> Response:
        return json_answer({"object": "list", "data": [self._card(self._ready())]})

    async def _model(self, request: Request) -> Response:
        serving = self._ready()
        serving.check_name(request.path_params["name"])
        return json_answer(self._card(serving))

    def _card(self, serving: Serving) -> dict[str, Any]:
        return {
            "id": serving.name,
            "object": "model",
            "created": self._created,
            "owned_by": "neurogrid",
            **({} if serving.context is None else {"max_model_len": serving.context}),
        }


async def _refusal(_: Request, refused: Refused) -> Response:
    return Response(
        refused.body(), refused.status, media_type="application/json", headers=refused.headers()
    )


async def _http_error(request: Request, error: HTTPException) -> Response:
    words = {
        404: f"Nothing is served at {request.url.path[:200]}.",
        405: f"{request.url.path[:200]} is not asked by {request.method}.",
    }
    return await _refusal(
        request, Refused(error.status_code, words.get(error.status_code, str(error.detail)))
    )


async def _failure(request: Request, _: Exception) -> Response:
    return await _refusal(request, Refused(500, "The server failed. Its log says why."))


def serve(
    load: Callable[[Options], Serving], *, name: str, concurrency: int, waiting_max: int
) -> None:
    """Serve a model until SIGTERM: then nothing new is taken, and what has begun may end.

    Args:
        load: makes it; may take as long as it takes.
        name, concurrency, waiting_max: where the command line does not say.
    """
    parser = argparse.ArgumentParser(description=f"Serve {name} as OpenAI's API has it.")
    parser.add_argument("--name", default=name, help="what it is called in requests (%(default)s)")
    parser.add_argument("--host", default="0.0.0.0", help="address to listen at (%(default)s)")
    parser.add_argument("--port", type=int, default=PORT, help="(%(default)s)")
    parser.add_argument(
        "--concurrency", type=int, default=concurrency, help="requests at once (%(default)s)"
    )
    parser.add_argument(
        "--waiting-max", type=int, default=waiting_max, help="that may wait (%(default)s)"
    )
    parser.add_argument(
        "--request-s", type=float, default=600, help="that one may take (%(default)s)"
    )
    parser.add_argument(
        "--drain-s", type=int, default=30, help="for what has begun at SIGTERM (%(default)s)"
    )
    options = Options(**vars(parser.parse_args()))
    server = Application(options, load)
    config = uvicorn.Config(
        server.app(),
        host=options.host,
        port=options.port,
        # httptools would be quicker, and has no bound for heads.
        http="h11",
        h11_max_incomplete_event_size=_HEAD_BYTES_MAX,
        loop="asyncio",
        ws="none",
        log_level="warning",
        access_log=False,
        server_header=False,
        limit_concurrency=_CONNECTIONS_MAX,
        timeout_keep_alive=_KEEP_ALIVE_S,
        timeout_graceful_shutdown=options.drain_s,
    )
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    running = uvicorn.Server(config)

    def stop() -> None:
        running.should_exit = True

    server.stop = stop
    # uvicorn ends in peace at SIGTERM, and raises it again.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    running.run()
    if server.failed:
        sys.exit(1)
