"""``/tasks/{id}/exec`` over a real socket, into a real job; and who is kept out."""

import asyncio
import json
import socket
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from coordinator.api_world import TASK, node_view, open_world
from coordinator.on_asyncio import on_asyncio
from coordinator.running_job import INTERACTIVE, into, place
from engine.job_host import JobHost
from neurogrid_coordinator.market.errors import MarketAway
from neurogrid_coordinator.market.job_stream import JobStream
from neurogrid_coordinator.services import job_access
from neurogrid_marketplace.job_stream import (
    WINDOW_BYTES,
    FrameKind,
    Refused,
    StreamRefusal,
    write_bytes,
    write_words,
)

pytestmark = pytest.mark.engine


async def begin(socket: ClientConnection, *command: str, **more: object) -> None:
    await socket.send(json.dumps({"command": command, **more}))
    assert json.loads(await socket.recv()) == {"type": "started"}


async def until_ended(socket: ClientConnection) -> tuple[dict[int, bytes], dict[str, Any]]:
    """What it says by mark, and the last words."""
    said = {1: b"", 2: b""}
    while True:
        message = await socket.recv()
        if isinstance(message, bytes):
            said[message[0]] += message[1:]
        else:
            words = json.loads(message)
            if words["type"] != "credit":
                return said, words


@on_asyncio
async def test_a_command_runs_with_input_output_errors_and_exit_code(
    host: JobHost, tmp_path: Path
) -> None:
    async with into(host, tmp_path, "exec") as here, here.connect() as socket:
        await begin(socket, "sh", "-c", "cat; echo wrong >&2; exit 4")
        await socket.send(b"given ")
        await socket.send(b"twice")
        await socket.send(json.dumps({"type": "end_of_input"}))
        said, words = await until_ended(socket)
        assert said == {1: b"given twice", 2: b"wrong\n"}
        assert words == {"type": "exited", "exit_code": 4, "reason": "exited"}
        with pytest.raises(ConnectionClosed) as closed:
            await socket.recv()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1000


@on_asyncio
async def test_a_terminal_a_resize_and_a_signal_get_through(host: JobHost, tmp_path: Path) -> None:
    async with into(host, tmp_path, "exec") as here, here.connect() as socket:
        await begin(socket, "sh", tty=True, columns=90, rows=30, term="xterm")
        await socket.send(json.dumps({"type": "resize", "columns": 100, "rows": 40}))
        await socket.send(b"stty size; echo $TERM; exit 3\n")
        said, words = await until_ended(socket)
        assert b"40 100\r\nxterm\r\n" in said[1]
        assert words["exit_code"] == 3
    async with into(host, tmp_path / "again", "exec") as here, here.connect() as socket:
        await begin(socket, "sleep", "600")
        await socket.send(json.dumps({"type": "signal", "name": "TERM"}))
        assert (await until_ended(socket))[1]["exit_code"] == 143


@on_asyncio
async def test_with_credit_no_more_is_sent_than_was_allowed(host: JobHost, tmp_path: Path) -> None:
    async with into(host, tmp_path, "exec") as here, here.connect() as socket:
        await begin(socket, "head", "-c", str(3 * WINDOW_BYTES), "/dev/zero", credit=True)
        received = 0
        while received < 3 * WINDOW_BYTES:
            message = await socket.recv()
            assert isinstance(message, bytes)
            received += len(message) - 1
            if received in (WINDOW_BYTES, 2 * WINDOW_BYTES):
                await socket.send(json.dumps({"type": "credit", "bytes": WINDOW_BYTES}))
        assert (await until_ended(socket))[1]["exit_code"] == 0
        assert received == 3 * WINDOW_BYTES


@on_asyncio
async def test_what_can_be_refused_before_a_command_is_named_is_an_http_error(
    host: JobHost, tmp_path: Path
) -> None:
    async with into(host, tmp_path, "exec") as here:
        mallory = await here.world.customer("mallory")
        reader, _ = await here.world.key_of(here.alice.account, ("read",))
        assert (await here.refused(""))[0] == 401
        assert (await here.refused("ng_wrong"))[0] == 401
        status, error = await here.refused(mallory.key)
        assert (status, error["code"]) == (404, "NOT_FOUND"), "another's task does not exist"
        assert (await here.refused(reader))[0] == 403, "it changes things"
        assert (await here.refused(task_id="task_" + "0" * 32))[0] == 404
        answer = await here.alice.http.post("/api/v1/tasks", json=INTERACTIVE)
        queued = answer.json()["data"]["id"]
        status, error = await here.refused(task_id=queued)
        assert (status, error["details"]) == (409, {"reason": "not_running"})
        plain = (await here.alice.http.post("/api/v1/tasks", json=TASK)).json()["data"]["id"]
        await here.world.start(plain)
        status, error = await here.refused(task_id=plain)
        assert (status, error["details"]) == (409, {"reason": "not_interactive"})
        await here.world.finish(here.task_id)
        status, error = await here.refused()
        assert (status, error["details"]) == (409, {"reason": "not_running"})


@on_asyncio
async def test_a_plain_request_is_told_to_upgrade_and_the_document_has_it(tmp_path: Path) -> None:
    async with place(tmp_path, "exec") as here:
        answer = await here.alice.http.get(f"/api/v1/tasks/{here.task_id}/exec")
        assert (answer.status_code, answer.json()["error"]["code"]) == (426, "UPGRADE_REQUIRED")
        document = (await here.alice.http.get("/openapi.json")).json()
        described = document["paths"]["/api/v1/tasks/{task_id}/exec"]["get"]
        assert '"command": ["sh"]' in described["description"]


@pytest.mark.parametrize(
    "first",
    [
        "",
        "{",
        "[]",
        '{"command": []}',
        '{"command": [""]}',
        '{"command": ["a\\u0000"]}',
        '{"command": "sh"}',
        '{"command": ["sh"], "columns": 0}',
        '{"command": ["sh"], "term": "a b"}',
        '{"command": ["sh"], "user": "root"}',
        b"sh",
        json.dumps({"command": ["x" * 20_000] * 2}),
    ],
)
def test_a_first_message_that_is_no_command_is_refused(tmp_path: Path, first: str | bytes) -> None:
    async def check() -> None:
        async with place(tmp_path, "exec") as here, here.connect() as socket:
            await socket.send(first)
            words = json.loads(await socket.recv())
            assert (words["type"], words["error"]["code"]) == ("error", "INVALID_REQUEST")
            with pytest.raises(ConnectionClosed) as closed:
                await socket.recv()
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 4422

    asyncio.run(check())


@on_asyncio
async def test_words_that_are_none_end_the_connection(host: JobHost, tmp_path: Path) -> None:
    for number, said in enumerate(('{"type": "dance"}', '{"type": "credit", "bytes": 1}', "{")):
        async with into(host, tmp_path / str(number), "exec") as here, here.connect() as socket:
            await begin(socket, "cat")
            await socket.send(said)
            _, words = await until_ended(socket)
            assert words["error"]["code"] == "INVALID_REQUEST", said


class Scripted:
    """A node, or what is left of one, that answers with these bytes and leaves."""

    def __init__(self, answer: bytes) -> None:
        self._answer = answer

    async def open_stream(self, node_id: str) -> JobStream:
        ours, theirs = socket.socketpair()
        with theirs:
            theirs.sendall(self._answer)
            theirs.shutdown(socket.SHUT_WR)
            stream = await JobStream.over(ours)
            self._kept = theirs.dup()
        return stream

    def close(self) -> None:
        self._kept.close()


OPENED = write_bytes(FrameKind.OPENED)


@pytest.mark.parametrize(
    ("answer", "status", "code", "words"),
    [
        (b"", 503, "UNAVAILABLE", "the node is gone"),
        (b"\xff" + bytes(4), 503, "UNAVAILABLE", "kind 255"),
        (write_bytes(FrameKind.EXITED, b"{}"), 503, "UNAVAILABLE", "EXITED is no answer"),
        (OPENED, 503, "UNAVAILABLE", "the node is gone"),
        (OPENED + OPENED, 503, "UNAVAILABLE", "not expected"),
        (OPENED + write_bytes(FrameKind.EXITED, b"[]"), 503, "UNAVAILABLE", "broke"),
        (OPENED + write_bytes(FrameKind.CREDIT, b'{"count":1}'), 503, "UNAVAILABLE", "credit"),
        (OPENED + b"\x06\xff\xff\xff\xff", 503, "UNAVAILABLE", "a frame of"),
        *(
            (write_words(Refused(code, "because")), 503, "UNAVAILABLE", "because")
            for code in (StreamRefusal.NODE_AWAY, StreamRefusal.NOT_READY)
        ),
        *(
            (write_words(Refused(code, "because")), 409, "CONFLICT", "because")
            for code in (StreamRefusal.NOT_ALLOWED, StreamRefusal.TOO_MANY, StreamRefusal.NO_LEASE)
        ),
    ],
)
def test_whatever_a_node_answers_the_client_gets_an_error_of_ours(
    tmp_path: Path, answer: bytes, status: int, code: str, words: str
) -> None:
    async def check() -> None:
        node = Scripted(answer)
        async with place(tmp_path, "exec", node.open_stream) as here, here.connect() as socket:
            await socket.send(json.dumps({"command": ["true"]}))
            _, last = await until_ended_or_refused(socket)
            assert (last["status"], last["error"]["code"]) == (status, code)
            assert words in last["error"]["message"]
        node.close()

    asyncio.run(check())


async def until_ended_or_refused(
    socket: ClientConnection,
) -> tuple[dict[int, bytes], dict[str, Any]]:
    said, words = await until_ended(socket)
    return (said, words) if words["type"] != "started" else await until_ended(socket)


@on_asyncio
async def test_a_market_that_is_being_restarted_is_an_error_that_passes(tmp_path: Path) -> None:
    async def away(node_id: str) -> JobStream:
        raise MarketAway("the market process is being started")

    async with place(tmp_path, "exec", away) as here, here.connect() as socket:
        await socket.send(json.dumps({"command": ["true"]}))
        _, words = await until_ended(socket)
        assert (words["status"], words["error"]["code"]) == (503, "UNAVAILABLE")


@on_asyncio
async def test_an_account_has_so_many_at_once(
    host: JobHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job_access, "COMMANDS_PER_ACCOUNT", 1)
    async with into(host, tmp_path, "exec") as here, here.connect() as first:
        await begin(first, "cat")
        async with here.connect() as second:
            await second.send(json.dumps({"command": ["true"]}))
            _, words = await until_ended(second)
            assert words["error"]["details"] == {"reason": "too_many"}
        await first.send(json.dumps({"type": "end_of_input"}))
        assert (await until_ended(first))[1]["exit_code"] == 0
        async with here.connect() as third:
            await begin(third, "true")


@on_asyncio
async def test_a_coordinator_that_stops_ends_commands(host: JobHost, tmp_path: Path) -> None:
    async with into(host, tmp_path, "exec") as here, here.connect() as socket:
        await begin(socket, "cat")
        here.world.stopping.set()
        with pytest.raises(ConnectionClosed) as closed:
            await socket.recv()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1012


@on_asyncio
async def test_a_command_ends_with_the_key_that_began_it(host: JobHost, tmp_path: Path) -> None:
    async with into(host, tmp_path, "exec") as here, here.connect() as socket:
        await begin(socket, "cat")
        await here.end_key()
        words = json.loads(await socket.recv())
        assert (words["status"], words["error"]["message"]) == (401, "This API key was revoked.")
        with pytest.raises(ConnectionClosed) as closed:
            await socket.recv()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 4401


@on_asyncio
async def test_interactive_does_not_go_with_what_must_not_be_touched(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        alice = await world.customer("alice")
        for more, words in (
            ({"verification": {"mode": "spot_check"}}, "must not be touched"),
            ({"verification": {"mode": "quorum"}}, "must not be touched"),
            (
                {"inputs": [{"path": "a", "sha256": "0" * 64, "sealed": True}]},
                "could read them",
            ),
        ):
            answer = await alice.http.post("/api/v1/tasks", json={**INTERACTIVE, **more})
            error = answer.json()["error"]
            assert (answer.status_code, error["details"]["field"]) == (422, "interactive")
            assert words in error["message"]


@on_asyncio
async def test_only_nodes_that_let_commands_in_are_asked(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        alice = await world.customer("alice")
        asked = {**TASK, "interactive": True}
        refused = await alice.http.post("/api/v1/tasks", json=asked)
        explanation = refused.json()["error"]["details"]["explanation"]
        assert explanation["relaxation"]["constraint"] == "access has exec"
        world.market.views.append(node_view("three", access=("exec",)))
        created = await alice.http.post("/api/v1/tasks", json=asked)
        assert created.status_code == 201
        assert created.json()["data"]["interactive"] is True
