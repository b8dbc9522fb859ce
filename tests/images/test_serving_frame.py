"""What every server of a model is before it is ready, and where it can't be."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest
from starlette.routing import Route

from coordinator.on_asyncio import on_asyncio
from models.serving.frame import Application, Load, Options, Serving

_OPTIONS = Options("small", "127.0.0.1", 8000, 1, 1, 60, 1)


class _Small(Serving):
    """Serves nothing, under a name."""

    name, context = "small", 8

    def __init__(self) -> None:
        self.runs = asyncio.Event()

    def routes(self) -> list[Route]:
        return []

    def load(self) -> Load:
        return Load(1, 2, 3)

    async def run(self) -> None:
        self.runs.set()
        await asyncio.Event().wait()


@asynccontextmanager
async def _open(server: Application) -> AsyncIterator[httpx.AsyncClient]:
    app = server.app()
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://server") as client,
    ):
        yield client


@on_asyncio
async def test_it_answers_while_it_loads_and_says_so() -> None:
    loaded, small = threading.Event(), _Small()

    def load(_: Options) -> Serving:
        loaded.wait()
        return small

    async with _open(Application(_OPTIONS, load)) as client:
        try:
            for path in ("/health", "/load", "/v1/models", "/v1/models/small"):
                answer = await client.get(path)
                assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
                assert answer.json()["error"]["code"] == "loading"
        finally:
            loaded.set()
        await small.runs.wait()
        assert (await client.get("/health")).status_code == 200
        assert (await client.get("/load")).json() == {
            "server_load": 3,
            "running": 1,
            "waiting": 2,
            "concurrency": 3,
        }
        (card,) = (await client.get("/v1/models")).json()["data"]
        assert card == (await client.get("/v1/models/small")).json()
        assert (card["id"], card["max_model_len"]) == ("small", 8)


@on_asyncio
async def test_a_model_that_can_not_be_loaded_ends_the_server(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def load(_: Options) -> Serving:
        raise OSError("no weights")

    server, stopped = Application(_OPTIONS, load), asyncio.Event()
    server.stop = stopped.set
    async with _open(server) as client:
        await stopped.wait()
        assert (await client.get("/health")).status_code == 503
    assert server.failed
    assert "no weights" in caplog.text
