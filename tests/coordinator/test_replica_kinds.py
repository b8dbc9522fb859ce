"""Images, recordings and vectors of replicas at `/v1`: asked as servers take it, paid for what was made, and refused where it is not what was wanted."""

import asyncio
import base64
import json
import struct
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import httpx
import pytest

from conformance.recording import silence
from coordinator.api_world import Customer
from coordinator.fake_jobs import Serve
from coordinator.on_asyncio import on_asyncio
from coordinator.replica_world import HEAD, MODEL, ReplicaWorld, well_but
from coordinator.served import served
from coordinator.test_paid_use import billed, event, events_of, paid, uses
from neurogrid_coordinator.services.submission import MODEL_KIND
from neurogrid_coordinator.store import task_lists, unit_counts
from neurogrid_coordinator.store.task_lists import TaskFilter
from neurogrid_marketplace.unit_price import ModelUnit
from neurogrid_marketplace.units import Units

_ENTRY = """
[[model]]
id = "warm"
name = "Warm"
type = "{kind}"
category = "generation"
image = "neurogrid/warm:1"
needs = {{ memory_gb = 0.25, cpu_cores = 1 }}
price = {{ max_usdc_per_hour = "0.36" }}
[model.server]
routes = ["{route}"]
concurrency = 2
start_s = 60
[model.unit_price]
{price}
"""
IMAGE = _ENTRY.format(kind="image", route="/v1/images/generations", price='per_image = "0.0005"')
AUDIO = _ENTRY.format(
    kind="audio", route="/v1/audio/transcriptions", price='per_audio_second = "0.00005"'
)
VECTORS = _ENTRY.format(
    kind="embedding", route="/v1/embeddings", price='input_per_million = "1000"'
)
PNG = b"\x89PNG\r\n\x1a\n a picture"
SOUND = b"RIFF a recording" * 20_000
SAID: dict[str, Any] = {
    "task": "transcribe",
    "language": "en",
    "duration": 7.3,
    "text": "To be, or not.",
    "segments": [
        {"id": 0, "start": 0.0, "end": 1.5, "text": " To be,", "avg_logprob": -0.1},
        {"id": 1, "start": 1.5, "end": 7.3, "text": " or not.", "avg_logprob": -0.1},
    ],
    "usage": {"type": "duration", "seconds": 8},
}
# The pieces say what they count as so far, as a server does that is asked to.
EVENTS: list[dict[str, Any]] = [
    {
        "type": "transcript.text.delta",
        "delta": "To be,",
        "usage": {"type": "duration", "seconds": 2},
    },
    {
        "type": "transcript.text.delta",
        "delta": " or not.",
        "usage": {"type": "duration", "seconds": 5},
    },
    {"type": "transcript.text.done", **SAID},
]
STREAM = b"".join(map(event, EVENTS))
Asked = list[tuple[str, bytes]]


def told(value: Any, asked: Asked) -> Serve:
    """A server that keeps each request, target and body, and answers with this: bytes are a stream of events."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        if head.startswith(b"GET /health "):
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
            return
        (length,) = (
            int(line.partition(b":")[2])
            for line in head.lower().split(b"\r\n")
            if line.startswith(b"content-length:")
        )
        asked.append((head.split(b" ")[1].decode(), await reader.readexactly(length)))
        said = value() if callable(value) else value
        is_stream = isinstance(said, bytes)
        body = said if is_stream else json.dumps(said).encode()
        kind = b"text/event-stream" if is_stream else b"application/json"
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: %b\r\n" % kind)
        writer.write(b"Content-Length: %d\r\n\r\n%b" % (len(body), body))
        await writer.drain()

    return serve


def serving(
    folder: Path, entry: str, value: Any | Callable[[], Any], *features: str
) -> tuple[Asked, AbstractAsyncContextManager[tuple[ReplicaWorld, Customer]]]:
    asked: Asked = []
    return asked, paid(folder, told(value, asked), entry=entry, features=features)


def images(count: int) -> dict[str, Any]:
    item = {"b64_json": base64.b64encode(PNG).decode()}
    return {"created": 1, "data": [item] * count, "output_format": "png", "size": "64x32"}


async def draw(customer: Customer, **changes: Any) -> httpx.Response:
    body = {"model": MODEL, "prompt": "A city", **changes}
    return await customer.http.post("/v1/images/generations", json=body, timeout=60)


async def hear(customer: Customer, **fields: Any) -> httpx.Response:
    return await hear_in(SOUND, customer, **fields)


async def hear_in(sound: bytes, customer: Customer, **fields: Any) -> httpx.Response:
    return await customer.http.post(
        "/v1/audio/transcriptions",
        data={"model": MODEL, **fields},
        files={"file": ("../../speech.wav", sound)},
        timeout=60,
    )


async def of_account(here: ReplicaWorld, customer: Customer) -> Units:
    """All that its leases were billed for."""
    total = Units()
    for row in await uses(here, customer):
        total += await billed(here, row)
    return total


async def counted(here: ReplicaWorld, customer: Customer, unit: ModelUnit) -> int:
    return await here.world.database.read(unit_counts.total, customer.account.id, (unit,), 0)


@on_asyncio
async def test_images_are_paid_by_the_piece_and_come_as_bytes_or_as_a_link_for_anybody(
    tmp_path: Path,
) -> None:
    asked, open_world = serving(tmp_path, IMAGE, lambda: images(number), "n", "seed")
    async with open_world as (here, alice):
        number = 2
        answer = await draw(alice, n=2, size="64x32", seed=7, user="a person")
        assert answer.status_code == 200, answer.text
        said = answer.json()
        assert [base64.b64decode(each["b64_json"]) for each in said["data"]] == [PNG, PNG]
        assert said["usage"]["cost_micro_usdc"] == said["neurogrid"]["cost_micro_usdc"] == 1000
        target, body = asked[-1]
        assert target == "/v1/images/generations"
        assert json.loads(body) == {
            "model": MODEL,
            "prompt": "A city",
            "n": 2,
            "size": "64x32",
            "seed": 7,
            "response_format": "b64_json",
        }
        number = 1
        (made,) = (await draw(alice, response_format="url")).json()["data"]
        assert set(made) == {"url"}
        link = httpx.URL(made["url"])
        anybody = httpx.AsyncClient(transport=httpx.ASGITransport(here.world.app))
        async with anybody as http:
            found = await http.get(link)
            assert (found.status_code, found.content) == (200, PNG)
            assert found.headers["content-type"] == "image/png"
            assert "sandbox" in found.headers["content-security-policy"]
            word = link.path.rpartition("/")[2]
            for other in (f"A{word[1:]}", word[:-4], "x", "é", "a" * 900):
                assert (await http.get(link.copy_with(path=f"/api/v1/links/{other}"))).is_error
        assert await of_account(here, alice) == Units(images=3, requests=2)
        assert await counted(here, alice, ModelUnit.IMAGE) == 3


@on_asyncio
async def test_more_images_than_were_wanted_are_no_answer_and_cost_nothing(tmp_path: Path) -> None:
    _, open_world = serving(tmp_path, IMAGE, images(3), "n")
    async with open_world as (here, alice):
        answer = await draw(alice, n=2)
        assert answer.status_code == 500
        assert "made 3 images, and 2 were wanted" in answer.json()["error"]["message"]
        refused = await draw(alice, n=2, provider={"max_price": {"request": "0.0009"}})
        assert refused.json()["error"]["param"] == "provider.max_price.request"
        dear = await draw(alice, provider={"max_price": {"image": "0.0004"}})
        assert "max_price" in dear.json()["error"]["message"]
        assert await of_account(here, alice) == Units()


@on_asyncio
async def test_a_recording_is_heard_by_a_replica_in_every_form_and_paid_by_the_second(
    tmp_path: Path,
) -> None:
    words = {"words": [{"word": "To", "start": 0.0, "end": 0.5}]}
    asked, open_world = serving(tmp_path, AUDIO, SAID | words, "words", "audio_prompt")
    async with open_world as (here, alice):
        plain = (await hear(alice, language="en", prompt="Dashwood")).json()
        assert plain["text"] == SAID["text"]
        assert plain["usage"]["seconds"] == 8
        # 8 s at 0.00005.
        assert plain["usage"]["cost_micro_usdc"] == 400
        assert set(plain) == {"text", "usage", "neurogrid"}
        target, form = asked[-1]
        assert target == "/v1/audio/transcriptions"
        assert SOUND in form
        for field, value in (
            ("model", MODEL),
            ("response_format", "verbose_json"),
            ("language", "en"),
            ("prompt", "Dashwood"),
        ):
            assert f'name="{field}"\r\n\r\n{value}\r\n'.encode() in form
        assert b'filename="recording.wav"' in form
        long = await hear(
            alice, response_format="verbose_json", **{"timestamp_granularities[]": "word"}
        )
        assert long.json()["words"] == words["words"]
        assert b'name="timestamp_granularities[]"\r\n\r\nword\r\n' in asked[-1][1]
        text = await hear(alice, response_format="text")
        assert text.text == "To be, or not.\n"
        assert text.headers["x-neurogrid-cost-micro-usdc"] == "400"
        srt = await hear(alice, response_format="srt")
        assert srt.text.startswith("1\n00:00:00,000 --> 00:00:01,500\nTo be,\n")
        vtt = await hear(alice, response_format="vtt")
        assert vtt.text.startswith("WEBVTT\n")
        delta, done, end = events_of(await hear(alice, stream="true"))
        assert (delta["delta"], done["text"], end) == (SAID["text"], SAID["text"], "[DONE]")
        assert done["neurogrid"]["cost_micro_usdc"] == 400
        assert await of_account(here, alice) == Units(audio_ms=6 * 8000, requests=6)
        assert await counted(here, alice, ModelUnit.AUDIO_SECOND) == 48


@on_asyncio
async def test_a_transcript_of_a_server_that_says_no_usage_is_paid_by_its_length(
    tmp_path: Path,
) -> None:
    said = {name: value for name, value in SAID.items() if name != "usage"}
    _, open_world = serving(tmp_path, AUDIO, said)
    async with open_world as (here, alice):
        answer = await hear(alice)
        assert answer.json()["usage"]["seconds"] == 7.3
        assert await of_account(here, alice) == Units(audio_ms=7300, requests=1)


@on_asyncio
async def test_a_server_that_streams_transcripts_is_passed_on_event_by_event(
    tmp_path: Path,
) -> None:
    asked, open_world = serving(tmp_path, AUDIO, STREAM, "stream", "words")
    async with open_world as (here, alice):
        *deltas, done, end = events_of(await hear(alice, stream="true"))
        # What it counts as so far is no part of OpenAI's pieces.
        assert deltas == [
            {"type": "transcript.text.delta", "delta": "To be,"},
            {"type": "transcript.text.delta", "delta": " or not."},
        ]
        assert (done["usage"]["seconds"], done["usage"]["cost_micro_usdc"], end) == (
            8,
            400,
            "[DONE]",
        )
        form = asked[-1][1]
        for field, value in (("stream", "true"), ("response_format", "json")):
            assert f'name="{field}"\r\n\r\n{value}\r\n'.encode() in form
        assert b"granularities" not in form
        assert b"usage" not in form
        assert (await of_account(here, alice)).audio_ms == 8000
        long = {"response_format": "verbose_json", "timestamp_granularities[]": "word"}
        await hear(alice, stream="true", **long)
        for field, value in long.items():
            assert f'name="{field}"\r\n\r\n{value}\r\n'.encode() in asked[-1][1]
        for whole in ("text", "srt", "vtt"):
            refused = await hear(alice, stream="true", response_format=whole)
            assert (refused.status_code, refused.json()["error"]["param"]) == (400, "stream")
        assert len(asked) == 2


@on_asyncio
async def test_who_leaves_a_transcript_pays_for_the_seconds_that_came_and_the_server_stops(
    tmp_path: Path,
) -> None:
    gone, forms = asyncio.Event(), list[bytes]()

    async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(HEAD + b"".join(map(event, EVENTS[:2])))
        forms.append(await reader.read())
        gone.set()

    features = ("stream", "usage_in_stream")
    async with (
        paid(tmp_path, well_but(endless), entry=AUDIO, features=features) as (here, alice),
        served(here.world) as address,
        httpx.AsyncClient(headers={"Authorization": f"Bearer {alice.key}"}) as http,
    ):
        async with http.stream(
            "POST",
            f"http://{address}/v1/audio/transcriptions",
            data={"model": MODEL, "stream": "true"},
            files={"file": ("speech.wav", SOUND)},
            timeout=60,
        ) as answer:
            lines = (line async for line in answer.aiter_lines() if line)
            for text in ("To be,", " or not."):
                assert f'"delta":"{text}"' in await anext(lines)
        await asyncio.wait_for(gone.wait(), 30)
        assert b'name="stream_continuous_usage_stats"\r\n\r\ntrue\r\n' in forms[0]
        (row,) = await uses(here, alice)
        async with asyncio.timeout(10):
            while not (units := await billed(here, row)).requests:  # noqa: ASYNC110 - nobody is told of a stored row
                await asyncio.sleep(0.01)
        # The second is counted when its client surely has it.
        assert units.audio_ms in (2000, 5000)
        assert here.pool.tally.requests == {"left": 1}


@on_asyncio
async def test_what_is_no_transcript_is_an_error_and_costs_nothing(tmp_path: Path) -> None:
    _, open_world = serving(tmp_path, AUDIO, {"text": 7, "usage": {"seconds": 10_000}})
    async with open_world as (here, alice):
        answer = await hear(alice)
        assert answer.status_code == 500
        assert "cannot be read" in answer.json()["error"]["message"]
        # Who has failed rests.
        here.turn(2)
        assert (await hear(alice, response_format="srt")).status_code == 500
        assert await of_account(here, alice) == Units()


@on_asyncio
async def test_no_server_hears_more_than_a_recording_can_have(tmp_path: Path) -> None:
    _, open_world = serving(tmp_path, AUDIO, {"text": "Hm.", "usage": {"seconds": 10**8}})
    async with open_world as (here, alice):
        assert (await hear(alice)).status_code == 200
        heard = await of_account(here, alice)
        assert 0 < heard.audio_ms <= 20 * (len(SOUND) + 2000)


@pytest.mark.parametrize("said_s", [2, 3, 600])
@on_asyncio
async def test_no_server_hears_more_than_a_recording_says_that_it_has(
    tmp_path: Path, said_s: int
) -> None:
    usage = {"type": "duration", "seconds": said_s}
    said = {"text": "Hm.", "duration": said_s, "usage": usage}
    _, open_world = serving(tmp_path, AUDIO, said)
    async with open_world as (here, alice):
        answer = (await hear_in(silence(2.5), alice)).json()
        heard_s = min(said_s, 3)
        assert answer["usage"]["cost_micro_usdc"] == 50 * heard_s
        assert await of_account(here, alice) == Units(audio_ms=1000 * heard_s, requests=1)


@pytest.mark.parametrize("encoding", ["float", "base64"])
@on_asyncio
async def test_vectors_are_one_for_each_text_and_paid_by_the_tokens_that_were_read(
    tmp_path: Path, encoding: str
) -> None:
    made = {
        "object": "list",
        "data": [
            {"object": "embedding", "index": index, "embedding": [0.5, -0.25]} for index in range(2)
        ],
        "model": "x",
        "usage": {"prompt_tokens": 9, "total_tokens": 9},
    }
    _, open_world = serving(tmp_path, VECTORS, made)
    async with open_world as (here, alice):

        async def embed(**changes: Any) -> httpx.Response:
            body = {"model": MODEL, "input": ["a", "b"], "encoding_format": encoding, **changes}
            return await alice.http.post("/v1/embeddings", json=body, timeout=60)

        said = (await embed()).json()
        vector = said["data"][1]["embedding"]
        if encoding == "base64":
            vector = list(struct.unpack("<2f", base64.b64decode(vector)))
        assert vector == [0.5, -0.25]
        # 9 tokens at 1,000 USDC a million.
        assert (said["usage"]["prompt_tokens"], said["usage"]["cost_micro_usdc"]) == (9, 9000)
        assert said["model"] == MODEL
        wrong = await embed(input=["a", "b", "c"])
        assert "2 vectors of 3 texts" in wrong.json()["error"]["message"]
        # Who has failed rests.
        here.turn(2)
        assert (await embed(input=[1, 2, 3])).status_code == 500
        refused = await embed(dimensions=2)
        assert (refused.status_code, refused.json()["error"]["param"]) == (400, "dimensions")
        assert await of_account(here, alice) == Units(input_tokens=9, requests=1)


@on_asyncio
async def test_what_a_server_cannot_do_and_a_program_can_is_a_task(tmp_path: Path) -> None:
    asked, open_world = serving(tmp_path, IMAGE, images(1))
    async with open_world as (here, alice):
        drawing = asyncio.create_task(draw(alice, steps=3))
        which = TaskFilter(alice.account.id, kinds=frozenset({MODEL_KIND}))
        async with asyncio.timeout(60):
            while not await here.world.database.read(task_lists.count, which):  # noqa: ASYNC110 - nobody is told
                await asyncio.sleep(0.01)
        drawing.cancel()
        await asyncio.gather(drawing, return_exceptions=True)
        refused = await draw(alice, quality="hd")
        assert (refused.status_code, refused.json()["error"]["param"]) == (400, "quality")
        assert (asked, await uses(here, alice)) == ([], [])
