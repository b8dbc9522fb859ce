"""What a model's replicas answer and how they are, over the API, in numbers and by the operator's command."""

import asyncio
import json
from dataclasses import replace
from pathlib import Path

import httpx
import msgspec
import pytest
from click.testing import CliRunner

from coordinator.on_asyncio import on_asyncio
from coordinator.replica_world import HEAD, MODEL, ReplicaWorld, open_replica_world, well_but
from coordinator.served import served
from coordinator.test_metrics import reading
from neurogrid_coordinator.__main__ import main
from neurogrid_coordinator.gateway.model_servers import MODEL_SERVERS_PATH
from neurogrid_coordinator.metrics.reading import samples
from neurogrid_coordinator.replicas.status import ModelStatus
from neurogrid_coordinator.setup import INFO_FILE
from neurogrid_coordinator.sharing.between import MODELS_PATH, Leading, token_of
from neurogrid_wallet.keys import KeyPair

COMPLETIONS = f"{MODEL_SERVERS_PATH}/v1/completions"


async def repeats(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Says what it was asked, then three words; what it says of its origin does not count."""
    body = await reader.readuntil(b"}")
    writer.write(HEAD.replace(b"\r\n\r\n", b"\r\nSet-Cookie: a=b\r\nServer: mine\r\n\r\n") + body)
    for word in (b"to ", b"be ", b"or"):
        await writer.drain()
        writer.write(word)


async def half(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")


async def one_up(here: ReplicaWorld) -> str:
    await here.upkeep.look()
    (row,) = await here.rows()
    return await here.up(row.id, serve=well_but(repeats))


def client(here: ReplicaWorld, address: str, key: str = "") -> httpx.AsyncClient:
    headers = {"Authorization": f"Bearer {key or here.operator.key}"}
    return httpx.AsyncClient(base_url=f"http://{address}", headers=headers, timeout=60)


@on_asyncio
async def test_who_pays_for_replicas_asks_them_by_openais_paths(tmp_path: Path) -> None:
    async with (
        open_replica_world(tmp_path, replicas_min=1, name="at-server") as here,
        served(here.world) as address,
        client(here, address) as http,
    ):
        lease_id = await one_up(here)
        answer = await http.post(COMPLETIONS, json={"model": MODEL, "n": 1})
        assert answer.status_code == 200
        assert answer.content == b'{"model":"at-server","n":1}to be or'
        assert (answer.headers["x-neurogrid-tries"], "set-cookie" in answer.headers) == ("1", False)
        assert answer.headers["x-neurogrid-task-id"] in here.pool.replicas
        here.jobs.servers[lease_id] = well_but(half)
        with pytest.raises(httpx.RemoteProtocolError):
            await http.post(COMPLETIONS, json={"model": MODEL})


@on_asyncio
async def test_what_cannot_be_asked_is_said(tmp_path: Path) -> None:
    async with (
        open_replica_world(tmp_path, replicas_min=1) as here,
        served(here.world) as address,
        client(here, address) as http,
    ):
        alice = await here.world.customer("alice")
        for content, path, status, words in (
            (b"{", COMPLETIONS, 422, "no JSON object"),
            (b"[]", COMPLETIONS, 422, "no JSON object"),
            (b"{}", COMPLETIONS, 422, "model: is missing"),
            (b'{"model": "other"}', COMPLETIONS, 404, "other"),
            (
                b'{"model": "warm"}',
                f"{MODEL_SERVERS_PATH}/v1/embeddings",
                404,
                "it has /v1/completions",
            ),
        ):
            answer = await http.post(path, content=content)
            assert (answer.status_code, words in answer.text) == (status, True), answer.text
        async with client(here, address, alice.key) as other:
            answer = await other.post(COMPLETIONS, json={"model": MODEL})
            assert (answer.status_code, answer.json()["error"]["code"]) == (403, "FORBIDDEN")


@on_asyncio
async def test_a_client_that_leaves_while_it_waits_leaves_the_queue(tmp_path: Path) -> None:
    async with (
        open_replica_world(tmp_path) as here,
        served(here.world) as address,
        client(here, address) as http,
    ):
        asking = asyncio.create_task(http.post(COMPLETIONS, json={"model": MODEL}))
        await here.until(lambda: here.pool.waiting == 1)
        asking.cancel()
        await here.until(lambda: here.pool.waiting == 0)


@on_asyncio
async def test_everybody_sees_how_a_models_replicas_are(tmp_path: Path) -> None:
    async with open_replica_world(tmp_path, replicas_min=1) as here:
        alice = await here.world.customer("alice")

        async def shown() -> dict[str, object]:
            found = (await alice.http.get(f"/api/v1/models/{MODEL}")).json()["data"]["replicas"]
            assert isinstance(found, dict)
            return found

        await here.upkeep.look()
        here.pool.problem = "0 of 2 nodes match: price"
        assert await shown() == {
            "ready": 0,
            "starting": 1,
            "most": 2,
            "waiting": 0,
            "at_work": 0,
            "expected_start_ms": None,
            "problem": "0 of 2 nodes match: price",
        }
        await one_up(here)
        found = await shown()
        assert (found["ready"], found["starting"], found["problem"]) == (1, 0, "")
        assert found["expected_start_ms"] == 0
        listed = (await alice.http.get("/api/v1/models")).json()["data"]["models"]
        assert listed[0]["replicas"] == found


@on_asyncio
async def test_their_numbers_have_a_line_for_each_state_and_result(tmp_path: Path) -> None:
    async with open_replica_world(tmp_path, replicas_min=1) as here:
        await one_up(here)
        await here.ask()
        of_models = [(status, here.pool.tally) for status in here.serving.status()]
        found = {
            (each.metric.name.removeprefix("neurogrid_coordinator_model_"), *each.labels[1:]): each
            for each in samples(replace(reading(), models=of_models))
            if each.labels[:1] == (MODEL,)
        }
        numbers = {name: each.value for name, each in found.items() if each.value}
        assert numbers["replicas", "ready"] == numbers["replicas_wanted",] == 1
        assert numbers["requests", "answered"] == numbers["replicas_begun",] == 1
        assert {name[1] for name in found if name[0] == "cold_start_seconds"} == {
            *("queued", "auction", "escrow", "start", "ready")
        }


def test_the_operators_command_says_where_no_coordinator_is(tmp_path: Path) -> None:
    for name in ("identity.json", "operator.json", "session.json"):
        KeyPair.generate().write_solana_file(tmp_path / name)
    found = CliRunner().invoke(main, ["models", "status", "--data", str(tmp_path)])
    assert (found.exit_code, "No coordinator answers" in found.output) == (3, True)


@on_asyncio
async def test_the_operators_command_shows_each_replica_and_why_there_are_too_few(
    tmp_path: Path,
) -> None:
    session = KeyPair.generate()
    for name in ("identity.json", "operator.json"):
        KeyPair.generate().write_solana_file(tmp_path / name)
    session.write_solana_file(tmp_path / "session.json")
    async with open_replica_world(tmp_path / "world", replicas_min=2) as here:
        await here.upkeep.look()
        first, _ = await here.rows()
        await here.up(first.id)
        here.pool.problem = "1 of 2 nodes match"
        here.world.app = Leading(  # type: ignore[assignment]  # wrapped as the daemon's is
            here.world.app,
            token=token_of(session),
            explain=here.world.market.explain,
            nodes=here.world.nodes,
            serving=here.serving,
        )
        async with served(here.world) as address:
            (tmp_path / INFO_FILE).write_text(json.dumps({"api_url": f"http://{address}"}))

            def command(*options: str) -> str:
                arguments = ["models", "status", "--data", str(tmp_path), *options]
                found = CliRunner().invoke(main, arguments)
                assert found.exit_code == 0, found.output
                return found.output

            text = await asyncio.to_thread(command)
            assert text.startswith(
                "warm: 1 ready of 2 wanted (2 to 2), 0 requests at work, 0 waiting"
            )
            assert "1 of 2 nodes match" in text
            assert f"{first.id}  ready" in text
            whole = msgspec.json.decode(
                await asyncio.to_thread(command, "--json"), type=list[ModelStatus]
            )
            assert [each.state for each in whole[0].replicas] == ["ready", "queued"]
            async with httpx.AsyncClient(base_url=f"http://{address}") as nobody:
                assert (await nobody.post(MODELS_PATH)).status_code == 404
