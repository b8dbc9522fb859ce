"""Connections that are lent to reading processes: whoever reads a request, its client is answered the same."""

import asyncio
import json
import os
import re
import signal
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from coordinator.api_world import TASK, TERMS, USDC, World, open_world
from coordinator.on_asyncio import on_asyncio
from neurogrid_coordinator.reading.frames import REQUEST_BYTES_MAX
from neurogrid_coordinator.reading.head import read_submission
from neurogrid_coordinator.reading.readers import Readers
from neurogrid_coordinator.reading.words import write
from neurogrid_coordinator.server.api_server import ApiServer
from neurogrid_coordinator.server.http_config import HttpConfig
from neurogrid_coordinator.server.http_connections import HEAD_BYTES_MAX, LENT_AFTER
from neurogrid_coordinator.store import tables, tasks

_PATIENCE_S = 120
# A readers' process takes seconds to start where every core is busy; so it is started for few tests.
RICH = 100_000 * USDC
BODY = json.dumps(TASK).encode()


def request(
    body: bytes = BODY, *, method: str = "POST", path: str = "/api/v1/tasks", **headers: str
) -> bytes:
    said = {"host": "api", "content-length": str(len(body)), **headers}
    head = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in said.items())
    return f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode() + body


def test_a_whole_submission_is_read() -> None:
    read = read_submission(request(authorization="Bearer key"))
    assert read is not None
    assert read.body == BODY
    assert (b"authorization", b"Bearer key") in read.headers


@pytest.mark.parametrize(
    "data",
    [
        request()[:-1],
        request()[:20],
        request() + b"P",
        request() + request(),
        request(method="PUT"),
        request(path="/api/v1/tasks/"),
        request(path="/api/v1/tasks?dry=1"),
        request(b""),
        request(expect="100-continue"),
        request(content_encoding="gzip"),
        request(connection="close"),
        request(connection="upgrade", upgrade="websocket"),
        request().replace(b"HTTP/1.1", b"HTTP/1.0"),
        request().replace(b"content-length", b"no length"),
        b"POST /api/v1/tasks HTTP/1.1\r\nhost: api\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
        request(x="y" * HEAD_BYTES_MAX),
        request(b" " * REQUEST_BYTES_MAX),
        b"POST /api/v1/tasks nonsense\r\n\r\n",
        b"",
    ],
)
def test_what_is_more_or_less_than_a_submission_is_left_to_the_api(data: bytes) -> None:
    assert read_submission(data) is None


@pytest.mark.parametrize(
    "changes",
    [
        {"kind": "operation"},
        {"timeout_seconds": -1},
        {"unknown": 1},
        {"timeout_seconds": TERMS.timeout_s_max + 1},
        {"reveal_wallet": True},
        {"inputs": [{"path": "a", "sha256": "1" * 64}]},
        {"depends_on": ["task_" + "0" * 32]},
        {"spread": {"group": "a", "by": "node"}},
        {"gang": {"size": 2}},
        {"verification": {"mode": "spot_check"}},
        {"deadline": "2100-01-01T00:00:00Z"},
    ],
)
def test_what_depends_on_more_than_itself_or_is_wrong_is_not_written(
    changes: dict[str, Any],
) -> None:
    assert write(json.dumps({**TASK, **changes}).encode(), TERMS) is None


def test_what_is_no_json_is_not_written() -> None:
    for body in (b"{", b"\xff", b"[" * 10_000, b"null"):
        assert write(body, TERMS) is None


@on_asyncio
async def test_a_written_task_has_the_row_and_the_answer_of_one_that_the_api_reads(
    tmp_path: Path,
) -> None:
    written = write(BODY, TERMS)
    assert written is not None
    task, answer = written
    async with open_world(tmp_path) as world:
        acme = await world.customer("acme")
        read = await acme.http.post("/api/v1/tasks", json=TASK)
        assert read.status_code == 201
        task_id = read.json()["data"]["id"]
        (row,) = await world.database.read(tasks.stored, task_id, acme.account.id)
        its = {**row_of(row), "account_id": "", "idempotency_key": None}
        theirs = {name: task.columns.get(name) for name in its}
        assert same(theirs) == same(its)
        assert same(json.loads(answer)) == same(read.json())


def row_of(row: Any) -> dict[str, Any]:
    return dict(zip((column.name for column in tables.tasks.columns), row, strict=True))


def same(value: object) -> object:
    """Without ids and times, which each has its own."""
    text = json.dumps(value)
    text = re.sub(r"(task|demand|req|key|acct)_[0-9a-f]{16,32}", r"\1_ID", text)
    text = re.sub(r"20\d\d-\d\d-\d\dT[0-9:.]+Z", "TIME", text)
    return json.loads(re.sub(r"\b1[0-9]{12}\b", "0", text))


class Client:
    """One connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self.writer = writer

    async def ask(self, *parts: bytes) -> tuple[int, Mapping[str, str], bytes]:
        for part in parts:
            self.writer.write(part)
            await self.writer.drain()
            # Each part in a packet of its own: a turn of the other side between them.
            await asyncio.sleep(0.01 if len(parts) > 1 else 0)
        return await self.hear()

    async def hear(self) -> tuple[int, Mapping[str, str], bytes]:
        async with asyncio.timeout(_PATIENCE_S):
            lines = (await self._reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
            headers = {
                name: value for name, _, value in (line.partition(": ") for line in lines[1:-2])
            }
            body = await self._reader.readexactly(int(headers["content-length"]))
        return int(lines[0].split()[1]), headers, body

    async def is_over(self) -> bool:
        async with asyncio.timeout(_PATIENCE_S):
            try:
                return await self._reader.read(1) == b""
            except ConnectionError:
                return True


class Place:
    """A served world with reading processes."""

    def __init__(self, world: World, server: ApiServer) -> None:
        self.world = world
        self.server = server
        self._clients: list[Client] = []

    @property
    def readers(self) -> Readers:
        assert isinstance(self.server.connections.lender, Readers)
        return self.server.connections.lender

    async def connect(self) -> Client:
        host, port = self.server.listen().listener.getsockname()
        self._clients.append(Client(*await asyncio.open_connection(host, port)))
        return self._clients[-1]

    async def leave(self) -> None:
        """Close all clients' ends."""
        for client in self._clients:
            client.writer.close()
            with suppress(ConnectionError):
                await client.writer.wait_closed()

    async def ready(self, but: int = 0) -> int:
        """Wait for a reading process; its id."""
        async with asyncio.timeout(_PATIENCE_S):
            while not [pid for pid in self.readers.pids if pid != but]:  # noqa: ASYNC110 - nothing tells it
                await asyncio.sleep(0.05)
        return self.readers.pids[0]

    async def count(self, table: str) -> Any:
        return await self.world.database.read(
            lambda conn: conn.exec_driver_sql(f"select count(*) from {table}").scalar()
        )

    async def until(self, number: int) -> None:
        """Wait until so many connections are open."""
        async with asyncio.timeout(_PATIENCE_S):
            while len(self.server.connections) != number:  # noqa: ASYNC110 - nothing tells it
                await asyncio.sleep(0.01)


@asynccontextmanager
async def place(folder: Path, readers: int) -> AsyncGenerator[Place]:
    async with open_world(folder) as world:
        # Some connections wait without a word until a process has started.
        config = HttpConfig(listen="127.0.0.1:0", readers=readers, idle_s=600)
        server = ApiServer(config, world.stopping)
        server.answer_with(world.app, TERMS)
        there = Place(world, server)
        try:
            while server.connections.lender is None:  # noqa: ASYNC110 - in its first turns
                await asyncio.sleep(0)
            if readers:
                await there.ready()
            yield there
        finally:
            await there.leave()
            await server.aclose()
            server.listen().listener.close()


@on_asyncio
async def test_a_server_that_is_closed_lets_go_of_its_address_and_its_connections(
    tmp_path: Path,
) -> None:
    async with open_world(tmp_path) as world:
        server = ApiServer(HttpConfig(listen="127.0.0.1:0"), world.stopping)
        server.answer_with(world.app, TERMS)
        there = Place(world, server)
        address = server.listen().listener.getsockname()
        acme = await world.customer("acme")
        while True:
            try:
                client = await there.connect()
                break
            except ConnectionRefusedError:
                await asyncio.sleep(0)
        assert (await client.ask(request(authorization=f"Bearer {acme.key}")))[0] == 201
        await server.aclose()
        assert await client.is_over()
        await there.leave()
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection(*address)
        # The next descriptor that this loop gets has that socket's number.
        taken = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
        async with taken, asyncio.timeout(_PATIENCE_S):
            reader, writer = await asyncio.open_connection(*taken.sockets[0].getsockname())
            assert await reader.read() == b""
            writer.close()


async def conversation(there: Place) -> list[object]:
    """What a client hears that says all sorts of things over one connection."""
    acme = await there.world.customer("acme", deposit=RICH)
    other = await there.world.customer("other", deposit=0)
    mine, theirs = f"Bearer {acme.key}", f"Bearer {other.key}"
    heard: list[object] = []
    client = await there.connect()

    async def say(*parts: bytes) -> dict[str, Any]:
        status, headers, body = await client.ask(*parts)
        told = json.loads(body) if body else {}
        kept = {
            name: value
            for name, value in headers.items()
            if name not in ("date", "content-length", "x-request-id")
        }
        heard.append([status, same(sorted(kept.items())), same(told)])
        return told

    first = await say(request(authorization=mine))
    for _ in range(LENT_AFTER):
        await say(request(authorization=mine))
    kept = await say(request(authorization=mine, idempotency_key="one"))
    assert (await say(request(authorization=mine, idempotency_key="one")))["data"]["id"] == kept[
        "data"
    ]["id"]
    other_body = json.dumps({**TASK, "name": "else"}).encode()
    await say(request(other_body, authorization=mine, idempotency_key="one"))
    # Somebody else, over the same connection.
    await say(request(authorization=theirs))
    await say(request(authorization="Bearer ng_wrong"))
    await say(request())
    await say(request(b"{}", authorization=mine))
    await say(request(b"not json", authorization=mine))
    for changes in (
        {"wait_for_node": True, "resource_requirements": {"cpu_cores": 1000}},
        {"resource_requirements": {"cpu_cores": 1000}},
        {"reveal_wallet": True},
        {"depends_on": [first["data"]["id"]]},
        {"verification": {"mode": "spot_check"}},
        {"max_price_per_hour": "1000000"},
    ):
        await say(request(json.dumps({**TASK, **changes}).encode(), authorization=mine))
    shown = await say(
        request(b"", method="GET", path=f"/api/v1/tasks/{kept['data']['id']}", authorization=mine)
    )
    assert shown["data"]["id"] == kept["data"]["id"]
    listed = await say(request(b"", method="GET", path="/api/v1/tasks", authorization=theirs))
    assert listed["data"]["total"] == 0
    # In pieces, and two at once.
    whole = request(authorization=mine)
    await say(whole[:30], whole[30:-10], whole[-10:])
    client.writer.write(whole + whole)
    for _ in range(2):
        status, _, _ = await client.hear()
        assert status == 201
    client.writer.close()
    await there.until(0)
    for table in ("tasks", "task_events", "audit_rows"):
        heard.append([table, await there.count(table)])
    return heard


@on_asyncio
async def test_whoever_reads_it_a_client_hears_the_same(tmp_path: Path) -> None:
    async with place(tmp_path / "without", 0) as there:
        expected = await conversation(there)
    async with place(tmp_path / "with", 1) as there:
        heard = await conversation(there)
    assert heard == expected


@on_asyncio
async def test_connections_that_are_lent_count_and_are_gone_with_their_process(
    tmp_path: Path,
) -> None:
    async with place(tmp_path, 1) as there:
        acme = await there.world.customer("acme", deposit=RICH)
        mine = request(authorization=f"Bearer {acme.key}")
        pid = await there.ready()
        clients = [await there.connect() for _ in range(3)]
        for client in clients:
            for _ in range(LENT_AFTER + 1):
                assert (await client.ask(mine))[0] == 201
        assert len(there.server.connections) == 3
        # One leaves by itself.
        clients[0].writer.close()
        await there.until(2)
        os.kill(pid, signal.SIGKILL)
        for client in clients[1:]:
            assert await client.is_over()
        await there.until(0)
        # The api reads by itself until another is there.
        alone = await there.connect()
        for _ in range(LENT_AFTER + 1):
            assert (await alone.ask(mine))[0] == 201
        assert await there.ready(but=pid) != pid
        for _ in range(LENT_AFTER + 1):
            assert (await alone.ask(mine))[0] == 201


@on_asyncio
async def test_what_is_under_way_when_it_stops_is_answered_and_nothing_after_it(
    tmp_path: Path,
) -> None:
    async with place(tmp_path, 1) as there:
        acme = await there.world.customer("acme", deposit=RICH)
        mine = request(authorization=f"Bearer {acme.key}")
        busy, idle = await there.connect(), await there.connect()
        for client in (busy, idle):
            for _ in range(LENT_AFTER + 1):
                assert (await client.ask(mine))[0] == 201
        chain = there.world.chain
        chain.held_up = asyncio.Event()
        busy.writer.write(mine)
        async with asyncio.timeout(_PATIENCE_S):
            while not chain.waiting:  # noqa: ASYNC110 - nothing tells it
                await asyncio.sleep(0.01)
        there.world.stopping.set()
        assert await idle.is_over()
        chain.held_up.set()
        status, headers, _ = await busy.hear()
        assert (status, headers["connection"]) == (201, "close")
        assert await busy.is_over()
        await there.until(0)
