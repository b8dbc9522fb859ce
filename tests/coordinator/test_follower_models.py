"""Models that are asked through a coordinator that does not lead: the leader's replicas answer, piece by piece."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import httpx

from coordinator.fake_jobs import Serve
from coordinator.on_asyncio import on_asyncio
from coordinator.replica_world import HEAD, MODEL, well_but
from coordinator.test_paid_use import WHOLE, WORDS, billed, events_of, paid, piece, uses
from coordinator.test_sharing import TOKEN, followed
from neurogrid_coordinator.sharing.between import MODELS_PATH

_ASKED = {"model": MODEL, "prompt": "To be", "stream": True}


async def words_of(answer: httpx.Response) -> AsyncIterator[str]:
    """The data of each event, as it comes."""
    async for line in answer.aiter_lines():
        if line.startswith("data: "):
            yield line[6:]


@on_asyncio
async def test_a_follower_has_the_leaders_replica_answer_and_shows_how_it_is(
    tmp_path: Path,
) -> None:
    async with (
        paid(tmp_path, WHOLE) as (here, alice),
        followed(here.world, here.serving) as both,
        httpx.AsyncClient(base_url=both.url, timeout=60) as http,
    ):
        key = {"Authorization": f"Bearer {alice.key}"}
        answer = await http.post("/v1/completions", json=_ASKED, headers=key)
        events = events_of(answer)
        assert (len(events) > WORDS, events[-1]) == (True, "[DONE]")
        (row,) = await uses(here, alice)
        assert (await billed(here, row)).output_tokens == WORDS
        assert both.counts.answered == 1
        # Models are in the catalogue of each.
        assert (await http.get("/v1/models", headers=key)).status_code == 200
        assert both.counts.answered == 1

        # What `neurogrid-coordinator models status` asks.
        told = await http.post(MODELS_PATH, headers={"Authorization": f"Bearer {TOKEN}"})
        (status,) = told.json()
        assert (status["model_id"], [each["state"] for each in status["replicas"]]) == (
            MODEL,
            ["ready"],
        )
        assert (await http.post(MODELS_PATH, headers=key)).status_code == 404


@on_asyncio
async def test_pieces_pass_a_follower_as_they_come_and_who_leaves_it_leaves_the_server(
    tmp_path: Path,
) -> None:
    more, gone = asyncio.Event(), asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(HEAD + piece("one "))
        await writer.drain()
        await more.wait()
        writer.write(piece("two "))
        await writer.drain()
        await reader.read()
        gone.set()

    serving: Serve = well_but(serve)
    async with (
        paid(tmp_path, serving) as (here, alice),
        followed(here.world, here.serving) as both,
        httpx.AsyncClient(base_url=both.url, timeout=60) as http,
    ):
        headers = {"Authorization": f"Bearer {alice.key}"}
        async with http.stream("POST", "/v1/completions", json=_ASKED, headers=headers) as answer:
            words = words_of(answer)
            assert "one" in json.loads(await anext(words))["choices"][0]["text"]
            more.set()
            assert "two" in json.loads(await anext(words))["choices"][0]["text"]
        async with asyncio.timeout(30):
            await gone.wait()
