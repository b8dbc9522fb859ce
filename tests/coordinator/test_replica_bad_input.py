"""Bad requests at `/v1`, and bad clients, where replicas answer: refused clearly and before anybody is asked, or held back."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from coordinator.on_asyncio import on_asyncio
from coordinator.replica_world import HEAD, MODEL, well_but
from coordinator.served import served
from coordinator.test_paid_use import event, paid, uses

# Far more than what lies between a server and its client can hold: sockets, windows of credit, buffers.
MUCH_BYTES = 64 * 1024 * 1024
HELD_BYTES = 16 * 1024 * 1024
_PIECE = event({"choices": [{"index": 0, "text": 1000 * "w", "finish_reason": None}]})


@pytest.mark.parametrize(
    ("body", "status", "code", "told"),
    [
        (b"{", 400, None, "JSON"),
        (b"[]", 400, None, ""),
        (b'{"model": "warm", "prompt": ' + 100_000 * b"[" + 100_000 * b"]" + b"}", 400, None, ""),
        (b'{"model": "warm", "prompt": "\xff"}', 400, None, ""),
        (b'{"model": "warn", "prompt": "To be"}', 404, "model_not_found", "did you mean warm"),
        (b'{"model": "warm"}', 400, None, "prompt"),
        (b'{"model": "warm", "prompt": "To be", "max_tokens": -1}', 400, None, "max_tokens"),
        (b'{"model": "warm", "prompt": "To be", "temperature": 1e9}', 400, None, "temperature"),
        (
            b'{"model": "warm", "prompt": "To be", "wishes": 3}',
            400,
            "unknown_parameter",
            "wishes",
        ),
        (
            b'{"model": "warm", "prompt": "' + 2_000_000 * b"x" + b'"}',
            413,
            "payload_too_large",
            "",
        ),
    ],
)
@on_asyncio
async def test_what_is_no_request_is_refused_and_nobody_is_asked(
    tmp_path: Path, body: bytes, status: int, code: str | None, told: str
) -> None:
    async with paid(tmp_path) as (here, alice):
        json_ = {"Content-Type": "application/json"}
        answer = await alice.http.post("/v1/completions", content=body, headers=json_, timeout=60)
        assert answer.status_code == status, answer.text
        error = answer.json()["error"]
        assert told in error["message"]
        if code is not None:
            assert error["code"] == code
        assert await uses(here, alice) == []
        assert here.pool.tally.requests == {}


@on_asyncio
async def test_a_body_of_100_mb_is_refused(tmp_path: Path) -> None:
    async with (
        paid(tmp_path) as (here, alice),
        served(here.world) as address,
        httpx.AsyncClient(headers={"Authorization": f"Bearer {alice.key}"}) as http,
    ):

        async def much() -> AsyncIterator[bytes]:
            for _ in range(100):
                yield 1_000_000 * b"x"

        answer = await http.post(f"http://{address}/v1/completions", content=much(), timeout=60)
        assert answer.status_code == 413
        assert answer.json()["error"]["code"] == "payload_too_large"
        assert await uses(here, alice) == []


@on_asyncio
async def test_a_client_that_reads_nothing_holds_its_server_back(tmp_path: Path) -> None:
    written = 0

    async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal written
        writer.write(HEAD)
        while written < MUCH_BYTES:
            writer.write(_PIECE)
            await writer.drain()
            written += len(_PIECE)

    async with (
        paid(tmp_path, well_but(endless)) as (here, alice),
        served(here.world) as address,
    ):
        host, _, port = address.rpartition(":")
        reader, writer = await asyncio.open_connection(host, int(port), limit=1024)
        body = json.dumps({"model": MODEL, "prompt": "To be", "stream": True}).encode()
        writer.write(
            b"POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            b"Authorization: Bearer %b\r\nContent-Length: %d\r\n\r\n%b"
            % (alice.key.encode(), len(body), body)
        )
        assert (await reader.readline()).startswith(b"HTTP/1.1 200")
        # Nobody tells when nothing happens any more.
        before, quiet = -1, 0
        while quiet < 20:
            quiet = quiet + 1 if written == before else 0
            before = written
            await asyncio.sleep(0.05)
        assert 0 < written < HELD_BYTES
        # It reads on, and so does its server.
        while written == before:
            assert await reader.read(65_536)
        writer.close()
        await here.until(lambda: here.pool.tally.requests == {"left": 1})
