"""The owner's socket: who may ask, how much, and how many at once."""

import json
import socket
from collections.abc import AsyncIterator
from collections.abc import Set as AbstractSet
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import pytest
import trio

from neurogrid_node.control.asking import NotRunning, ask
from neurogrid_node.control.door import CONNECTIONS_MAX, serve_owner
from neurogrid_node.control.requests import (
    REQUEST_BYTES_MAX,
    Drain,
    Pause,
    Refused,
    Request,
    Resume,
    Stop,
)
from neurogrid_node.control.socket_file import SOCKET_NAME
from p2p.peers import until


@dataclass
class Owned:
    """A daemon that notes what it is asked.

    Attributes:
        left: how many who waited went away unanswered.
    """

    directory: Path
    asked: list[Request] = field(default_factory=list)
    left: int = 0

    async def answer(self, request: Request) -> dict[str, object]:
        self.asked.append(request)
        match request:
            case Stop():
                raise ZeroDivisionError("a defect")
            case Resume():
                raise Refused("not now")
            case Drain():
                try:
                    await trio.sleep_forever()
                finally:
                    self.left += 1
        return {"asked": len(self.asked)}

    async def ask(self, request: Request) -> dict[str, object]:
        return await trio.to_thread.run_sync(ask, self.directory, request)

    async def open(self, sent: bytes) -> trio.SocketStream:
        stream = await trio.open_unix_socket(self.directory / SOCKET_NAME)
        await stream.send_all(sent)
        return stream

    async def says(self, sent: bytes) -> bytes:
        """What is answered to these bytes, until the end."""
        with trio.fail_after(60):
            async with await self.open(sent) as stream:
                return b"".join([part async for part in stream])


@asynccontextmanager
async def owned(directory: Path, may_ask: AbstractSet[int] | None = None) -> AsyncIterator[Owned]:
    node = Owned(directory)
    async with trio.open_nursery() as nursery:
        await nursery.start(partial(serve_owner, directory, node.answer, may_ask=may_ask))
        yield node
        nursery.cancel_scope.cancel()


async def test_what_is_asked_is_done_refused_or_a_defect_that_ends_nothing(tmp_path: Path) -> None:
    async with owned(tmp_path) as node:
        assert await node.ask(Pause(for_s=5)) == {"asked": 1}
        with pytest.raises(Refused, match="not now"):
            await node.ask(Resume())
        with pytest.raises(Refused, match="a defect of the node"):
            await node.ask(Stop())
        assert await node.ask(Pause()) == {"asked": 4}
    assert node.asked == [Pause(for_s=5), Resume(), Stop(), Pause()]
    with pytest.raises(NotRunning, match="no node runs"):
        ask(tmp_path, Pause())


@pytest.mark.parametrize(
    "line",
    [
        b"{}",
        b"[]",
        b"\xff",
        b'{"command": "explode"}',
        b'{"command": "pause", "for_s": 0}',
        b'{"command": "pause", "until": "tomorrow"}',
        b'{"command": "reclaim", "lease_id": "../journal.db"}',
    ],
)
async def test_what_is_no_request_is_refused_and_said_why(tmp_path: Path, line: bytes) -> None:
    async with owned(tmp_path) as node:
        answer = json.loads(await node.says(line + b"\n"))
        assert "does not understand" in answer["refused"]
    assert node.asked == []


async def test_who_says_too_much_gets_no_answer_and_nobody_waits_for_him(tmp_path: Path) -> None:
    async with owned(tmp_path) as node:
        assert await node.says(b"x" * (REQUEST_BYTES_MAX + 1)) == b""
        assert await node.ask(Pause()) == {"asked": 1}


async def test_who_asks_nothing_is_let_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("neurogrid_node.control.door._REQUEST_LIMIT_S", 0.05)
    async with owned(tmp_path) as node:
        assert await node.says(b'{"command"') == b""


async def test_more_at_once_than_an_owner_types_are_refused_and_who_leaves_makes_room(
    tmp_path: Path,
) -> None:
    async with owned(tmp_path) as node:
        waiting = [await node.open(b'{"command":"drain"}\n') for _ in range(CONNECTIONS_MAX)]
        await until(lambda: len(node.asked) == CONNECTIONS_MAX)
        with pytest.raises(Refused, match="16 other commands"):
            await node.ask(Pause())
        await waiting[0].aclose()
        await until(lambda: node.left == 1)
        assert await node.ask(Pause()) == {"asked": CONNECTIONS_MAX + 1}
        for stream in waiting:
            await stream.aclose()


async def test_another_user_is_refused_by_the_kernels_word(tmp_path: Path) -> None:
    async with owned(tmp_path, may_ask={2**31}) as node:
        with pytest.raises(Refused, match="only who runs the node"):
            await node.ask(Pause())
    assert node.asked == []


async def test_a_directory_whose_path_is_longer_than_an_address_will_do(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 120)
    deep.mkdir()
    async with owned(deep) as node:
        assert await node.ask(Pause()) == {"asked": 1}
    assert not (deep / SOCKET_NAME).exists()


async def test_a_file_that_is_no_socket_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / SOCKET_NAME).write_text("mine")
    with pytest.RaisesGroup(pytest.RaisesExc(OSError, match=r"control\.sock cannot be made")):
        async with owned(tmp_path):
            pass
    assert (tmp_path / SOCKET_NAME).read_text() == "mine"


async def test_the_socket_of_a_killed_daemon_is_replaced(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(tmp_path / SOCKET_NAME))
    async with owned(tmp_path) as node:
        assert await node.ask(Pause()) == {"asked": 1}
