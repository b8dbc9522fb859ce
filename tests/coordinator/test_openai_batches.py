"""Files and batches, as the official client uses them."""

import json
from pathlib import Path
from typing import Any

import openai
import pytest
from openai import AsyncOpenAI
from openai.types import Batch

from coordinator.answering import RESULT, answering
from coordinator.api_world import World
from coordinator.on_asyncio import on_asyncio
from coordinator.openai_world import openai_client
from neurogrid_coordinator.batches.batch_rules import BatchState
from neurogrid_coordinator.openai.batch_lines import LINE_BYTES_MAX, read_line
from neurogrid_coordinator.openai.batch_status import status_of
from neurogrid_coordinator.services.artifacts import Limits
from neurogrid_coordinator.services.errors import InvalidRequest
from neurogrid_coordinator.store import artifacts, openai_batches
from neurogrid_coordinator.store.openai_batches import OpenAiBatchRow

_CHAT = "/v1/chat/completions"


def _line(custom_id: str, url: str = _CHAT, **body: Any) -> dict[str, Any]:
    asked = {"model": "gpt-4", "messages": [{"role": "user", "content": custom_id}], **body}
    return {"custom_id": custom_id, "method": "POST", "url": url, "body": asked}


def _file(*lines: object) -> bytes:
    return b"\n".join(
        line if isinstance(line, bytes) else json.dumps(line).encode() for line in lines
    )


async def _begun(client: AsyncOpenAI, *lines: object, endpoint: str = _CHAT) -> Batch:
    file = await client.files.create(file=("lines.jsonl", _file(*lines)), purpose="batch")
    return await client.batches.create(
        input_file_id=file.id,
        endpoint=endpoint,  # type: ignore[arg-type]  # one of its words
        completion_window="24h",
        metadata={"of": "a test"},
    )


async def _until_ended(world: World, client: AsyncOpenAI, batch_id: str) -> Batch:
    runner = world.batch_runner()
    while True:
        await runner.look()
        found = await client.batches.retrieve(batch_id)
        if found.status not in ("in_progress", "cancelling", "finalizing"):
            return found


async def _lines_of(client: AsyncOpenAI, file_id: str | None) -> list[dict[str, Any]]:
    assert file_id is not None
    text = (await client.files.content(file_id)).text
    return [json.loads(line) for line in text.splitlines()]


@pytest.mark.both_databases
@on_asyncio
async def test_a_file_of_requests_is_answered_in_a_file_for_less(tmp_path: Path) -> None:
    async with openai_client(tmp_path) as (world, alice, client):
        made = await _begun(client, _line("a", temperature=0), b"", _line("b"))
        assert (made.status, made.endpoint, made.metadata) == (
            "in_progress",
            _CHAT,
            {"of": "a test"},
        )
        assert made.request_counts is not None
        assert (made.request_counts.total, made.output_file_id) == (2, None)
        assert made.expires_at == made.created_at + 24 * 3600
        async with answering(world):
            done = await _until_ended(world, client, made.id)
        assert (done.status, done.error_file_id) == ("completed", None)
        assert done.request_counts is not None
        assert done.request_counts.completed == 2
        answers = await _lines_of(client, done.output_file_id)
        assert [each["custom_id"] for each in answers] == ["a", "b"]
        for each in answers:
            assert each["error"] is None
            response = each["response"]
            assert response["status_code"] == 200
            body = response["body"]
            assert body["choices"][0]["message"]["content"] == RESULT["text"]
            task = (await alice.http.get(f"/api/v1/tasks/{response['request_id']}")).json()["data"]
            # Half of the catalogue's 0.36, and behind all others.
            assert (task["max_price_per_hour"], task["priority"]) == ("0.18", 1)
        # It is what a client may list, and delete.
        output = await client.files.retrieve(str(done.output_file_id))
        assert (output.purpose, output.filename) == ("batch_output", f"{made.id}_output.jsonl")
        listed = [file.purpose async for file in client.files.list(limit=1)]
        assert listed == ["batch_output", "batch"]
        assert [each.id async for each in client.batches.list(limit=1)] == [made.id]
        await client.files.delete(made.input_file_id)
        with pytest.raises(openai.NotFoundError):
            await client.files.retrieve(made.input_file_id)
        assert (await client.batches.retrieve(made.id)).output_file_id == done.output_file_id
        kept = await world.database.read(lambda conn: artifacts.total_bytes(conn, alice.account.id))
        await client.files.delete(str(done.output_file_id))
        left = await world.database.read(lambda conn: artifacts.total_bytes(conn, alice.account.id))
        assert kept - left == output.bytes


@on_asyncio
async def test_what_has_no_answer_is_in_the_file_of_errors(tmp_path: Path) -> None:
    async with openai_client(tmp_path) as (world, _, client):
        made = await _begun(client, _line("a"), _line("b"))
        await world.batch_runner().look()
        async with answering(world, b"no JSON"):
            await client.batches.cancel(made.id)
            first = await client.batches.retrieve(made.id)
            assert first.cancelling_at is not None
        for task_id in world.woken:
            await world.collaborators.request_cancel(task_id)
        done = await _until_ended(world, client, made.id)
        assert (done.status, done.output_file_id) == ("cancelled", None)
        errors = await _lines_of(client, done.error_file_id)
        assert [(each["custom_id"], each["response"]) for each in errors] == [
            ("a", None),
            ("b", None),
        ]
        assert all(each["error"]["message"] for each in errors)


@on_asyncio
async def test_what_keeps_answers_from_being_written_is_said(tmp_path: Path) -> None:
    limits = Limits(file_bytes=10**6, account_bytes=6000)
    async with openai_client(tmp_path, limits=limits) as (world, _, client):
        await client.files.create(file=("big", b"x" * 5000), purpose="batch")
        made = await _begun(client, _line("a"))
        async with answering(world):
            runner = world.batch_runner()
            while (found := await client.batches.retrieve(made.id)).status == "in_progress":
                await runner.look()
        assert found.status == "finalizing"
        waits_for = found.model_dump()["neurogrid"]["waits_for"]
        assert waits_for.startswith("the answers cannot be written: ")


@on_asyncio
async def test_a_wrong_line_is_refused_by_its_number_and_nothing_is_stored(tmp_path: Path) -> None:
    wrong: list[tuple[tuple[object, ...], str]] = [
        ((_line("a"), b"{"), "line 2: is no JSON"),
        ((_line("a"), b"", _line("a")), "line 3: id: 'a' is the id of two tasks"),
        ((_line("a", url="/v1/embeddings"),), "line 1: url: has to be the batch's endpoint"),
        ((_line("a", model="gpt-99"),), "line 1: there is no text model 'gpt-99'"),
        ((_line("a", tools=[{}]),), "line 1: tools: gpt-4 does not support this"),
        ((_line("a", stream=True),), "line 1: stream"),
        ((_line("a", top_q=1),), "line 1: the request: object contains unknown field `top_q`"),
        (({**_line("a"), "method": "GET"},), "line 1: method: is POST"),
        ((), "a batch has at least one"),
    ]
    async with openai_client(tmp_path) as (world, alice, client):
        for lines, words in wrong:
            with pytest.raises(openai.BadRequestError) as refused:
                await _begun(client, *lines)
            assert words in refused.value.message
        assert (await client.batches.list()).data == []
        assert (await alice.http.get("/api/v1/batches")).json()["data"]["total"] == 0
        with pytest.raises(openai.BadRequestError, match="files are here for batches"):
            await client.files.create(file=("a", b"a"), purpose="fine-tune")
        with pytest.raises(openai.NotFoundError):
            await client.batches.create(
                input_file_id="file-none", endpoint="/v1/completions", completion_window="24h"
            )
        with pytest.raises(openai.BadRequestError) as refused:
            await client.batches.create(
                input_file_id="file-none",
                endpoint="/v1/responses",
                completion_window="24h",
            )
        assert refused.value.param == "endpoint"
        odd = await client.files.create(file=("a\x00b\x1bc", b"a"), purpose="batch")
        assert "\x00" not in odd.filename
        assert "\x1b" not in odd.filename
        mallory = client.with_options(api_key=(await world.customer("mallory")).key)
        theirs = await client.files.create(file=("a", b"a"), purpose="batch")
        with pytest.raises(openai.NotFoundError):
            await mallory.files.content(theirs.id)


@on_asyncio
async def test_a_batch_of_which_a_crash_left_its_row_alone_has_failed(tmp_path: Path) -> None:
    async with openai_client(tmp_path) as (world, alice, client):
        row = OpenAiBatchRow("batch_1", alice.account.id, _CHAT, "file-1", "0" * 64, "{}", 0, 1)
        await world.database.write(openai_batches.add, row)
        found = await client.batches.retrieve("batch_1")
        assert found.status == "failed"
        assert found.errors is not None
        assert found.errors.data is not None
        assert "send it again" in str(found.errors.data[0].message)
        assert (await client.batches.cancel("batch_1")).status == "failed"


def test_a_line_has_a_bound() -> None:
    with pytest.raises(InvalidRequest, match="line 7: has more than 1048576 bytes"):
        read_line(b" " * (LINE_BYTES_MAX + 1), 7, _CHAT)


def test_a_batch_whose_window_is_over_has_expired_only_where_something_is_missing() -> None:
    def status(state: BatchState | None, **other: Any) -> str:
        usual: dict[str, Any] = {
            "age_ms": 0,
            "is_finished": True,
            "is_expired": False,
            "failed": 0,
        }
        return status_of(state, **(usual | other))

    assert status(None) == "validating"
    assert status(None, age_ms=3_600_000) == "failed"
    assert status(BatchState.FAILED, failed=1) == "completed"
    assert status(BatchState.FAILED, failed=1, is_expired=True) == "expired"
    assert status(BatchState.COMPLETED, is_expired=True) == "completed"
    assert status(BatchState.COMPLETED, is_finished=False) == "finalizing"
