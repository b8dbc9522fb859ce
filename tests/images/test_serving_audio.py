"""A speech model's stream: each piece of speech as soon as it is found, and nothing more once its client is gone."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from starlette.types import ASGIApp, Message

from coordinator.on_asyncio import on_asyncio
from models.serving.audio import AudioServing
from models.serving.frame import Application, Options
from models.serving.transcripts import Hearing, Listening, Segment, Unreadable
from models.serving.turns import Abandoned

_PATH = "/v1/audio/transcriptions"
_SEGMENTS = [Segment(0, 1.5, " To be,"), Segment(1.5, 3.5, " or not."), Segment(3.5, 9, " Ay.")]


class _Heard:
    """Hears the same in whatever it is given, a piece whenever it is let.

    Attributes:
        pieces: how many it may still find.
        stopped: how each of its recordings ended.
    """

    languages = frozenset({"en"})

    def __init__(self, pieces: int = 0) -> None:
        self.pieces = threading.Semaphore(pieces)
        self.stopped: list[str] = []

    def hear(self, recording: bytes, how: Hearing, check: Callable[[], None]) -> Listening:
        if recording == b"noise":
            raise Unreadable("no recording that can be read")
        return Listening("en", 7.25, self._segments(check))

    def _segments(self, check: Callable[[], None]) -> Iterator[Segment]:
        try:
            for segment in _SEGMENTS:
                while not self.pieces.acquire(timeout=0.001):
                    check()
                yield segment
        except Abandoned:
            self.stopped.append("abandoned")
            raise
        self.stopped.append("heard")


@asynccontextmanager
async def _app(model: _Heard, request_s: float = 60) -> AsyncIterator[tuple[ASGIApp, AudioServing]]:
    serving: list[AudioServing] = []

    def load(options: Options) -> AudioServing:
        serving.append(AudioServing(options, model))
        return serving[0]

    app = Application(Options("ears", "127.0.0.1", 8000, 1, 1, request_s, 1), load).app()
    async with app.router.lifespan_context(app), _client(app) as client:
        while (await client.get("/health")).status_code != 200:  # noqa: ASYNC110 - nobody is told
            await asyncio.sleep(0.001)
        yield app, serving[0]


def _client(app: ASGIApp) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://server")


class _Asking:
    """A request whose answer is read message by message, and that can be left."""

    def __init__(self, app: ASGIApp, **fields: str) -> None:
        form = httpx.Request("POST", _PATH, data=fields, files={"file": ("a.wav", b"sound")})
        self._body = form.read()
        self._sent: asyncio.Queue[Message] = asyncio.Queue()
        self._left = asyncio.Event()
        self._asked = False
        scope = {
            "type": "http",
            "method": "POST",
            "path": _PATH,
            "query_string": b"",
            "headers": [(name.lower(), value) for name, value in form.headers.raw],
        }
        self.task = asyncio.ensure_future(app(scope, self._receive, self._sent.put))

    async def _receive(self) -> Message:
        if not self._asked:
            self._asked = True
            return {"type": "http.request", "body": self._body, "more_body": False}
        await self._left.wait()
        return {"type": "http.disconnect"}

    async def next(self) -> Message:
        async with asyncio.timeout(10):
            return await self._sent.get()

    async def event(self) -> Any:
        return json.loads((await self.next())["body"].removeprefix(b"data: "))

    async def leave(self) -> None:
        self._left.set()
        await self.task


@on_asyncio
async def test_each_piece_of_speech_is_sent_as_soon_as_it_is_found() -> None:
    model = _Heard()
    async with _app(model) as (app, serving):
        asking = _Asking(
            app,
            stream="true",
            response_format="verbose_json",
            stream_include_usage="true",
            stream_continuous_usage_stats="true",
        )
        texts: list[str] = []
        # What it counts as up to there: each second that has begun, of the recording's 7.25.
        for seconds in (2, 4, 8):
            model.pieces.release()
            if not texts:
                head = await asking.next()
                assert (head["status"], dict(head["headers"])[b"content-type"]) == (
                    200,
                    b"text/event-stream; charset=utf-8",
                )
            said = await asking.event()
            assert said["type"] == "transcript.text.delta"
            assert said["usage"] == {"type": "duration", "seconds": seconds}
            texts.append(said["delta"])
        done = await asking.event()
        assert done["type"] == "transcript.text.done"
        assert done["text"] == "".join(texts) == "To be, or not. Ay."
        assert (done["language"], done["duration"], len(done["segments"])) == ("en", 7.25, 3)
        assert done["usage"] == {"type": "duration", "seconds": 8}
        assert (await asking.next())["body"] == b"data: [DONE]\n\n"
        assert not (await asking.next())["more_body"]
        await asking.task
        assert (model.stopped, serving.load().running) == (["heard"], 0)


@on_asyncio
async def test_nothing_more_is_heard_once_a_client_is_gone_and_the_next_has_its_turn() -> None:
    model = _Heard()
    async with _app(model) as (app, serving):
        for found in (1, 0):
            asking = _Asking(app, stream="true")
            for _ in range(found):
                model.pieces.release()
                assert (await asking.next())["status"] == 200
                assert await asking.event() == {"type": "transcript.text.delta", "delta": "To be,"}
            while not serving.load().running:  # noqa: ASYNC110 - nobody is told
                await asyncio.sleep(0.001)
            await asking.leave()
            assert serving.load().running == 0
        assert model.stopped in (["abandoned"], ["abandoned"] * 2)
        for _ in _SEGMENTS:
            model.pieces.release()
        async with _client(app) as client:
            answer = await client.post(_PATH, files={"file": b"sound"})
        assert answer.json()["text"] == "To be, or not. Ay."


@pytest.mark.parametrize(
    ("fields", "recording", "field"),
    [
        ({}, b"noise", "file"),
        ({"stream": "perhaps"}, b"sound", "stream"),
        ({"response_format": "srt"}, b"sound", "stream"),
        ({"stream_include_usage": "2"}, b"sound", "stream_include_usage"),
    ],
)
@on_asyncio
async def test_what_can_not_be_streamed_is_refused_before_a_stream_begins(
    fields: dict[str, str], recording: bytes, field: str
) -> None:
    async with _app(_Heard(3)) as (app, serving), _client(app) as client:
        answer = await client.post(
            _PATH, data={"stream": "true", **fields}, files={"file": recording}
        )
        assert (answer.status_code, answer.json()["error"]["param"]) == (400, field)
        assert serving.load().running == 0


@on_asyncio
async def test_a_stream_that_takes_too_long_says_so_and_is_not_done() -> None:
    model = _Heard(1)
    async with _app(model, request_s=0.2) as (app, _), _client(app) as client:
        answer = await client.post(_PATH, data={"stream": "true"}, files={"file": b"sound"})
        first, error, rest = answer.text.split("\n\n")
        assert json.loads(first.removeprefix("data: "))["delta"] == "To be,"
        assert json.loads(error.removeprefix("data: "))["error"]["code"] == "timeout"
        assert (rest, model.stopped) == ("", ["abandoned"])
