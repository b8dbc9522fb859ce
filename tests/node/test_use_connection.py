"""One HTTP exchange with a replica: what reaches the server, what is passed on, and what counts."""

import json

import pytest
import trio

from neurogrid_marketplace.units import NOTHING_SERVED, Units
from neurogrid_node.container.errors import EngineUnavailable
from neurogrid_node.container.execs import Output
from neurogrid_node.use.connection import UseConnection
from neurogrid_node.use.tally import Tally
from neurogrid_p2p.errors import ChannelClosed

ASKED = b"POST /v1/chat/completions HTTP/1.1\r\nHost: m\r\nContent-Length: 2\r\n"
ANSWER = json.dumps({"usage": {"prompt_tokens": 2, "completion_tokens": 3}}).encode()
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
COUNTED = Units(input_tokens=2, output_tokens=3, requests=1)


class Server:
    """What listens at the replica's port, in memory."""

    def __init__(self, *says: bytes) -> None:
        self.heard = b""
        self.writes = 0
        self.says = list(says)
        self.is_closed = False

    async def read(self) -> Output | None:
        return Output(self.says.pop(0)) if self.says else None

    async def write(self, data: bytes) -> None:
        self.heard += data
        self.writes += 1

    async def aclose(self) -> None:
        self.is_closed = True


def exchange(server: Server, tally: Tally | None = None) -> UseConnection:
    return UseConnection(server, tally or Tally(), lambda: False, lambda _: False)


async def answered(connection: UseConnection) -> bytes:
    said = b""
    while (piece := await connection.read()) is not None:
        said += piece.data
    return said


async def test_an_exchange_is_passed_on_and_counted() -> None:
    tally, whole = Tally(), HEAD % len(ANSWER) + ANSWER
    server = Server(whole[:30], whole[30:90], whole[90:])
    connection = exchange(server, tally)
    for byte in ASKED + b"\r\n{}":
        await connection.write(bytes([byte]))
    await connection.end_input()
    assert await answered(connection) == whole
    assert tally.units == COUNTED
    await connection.aclose()
    assert (tally.units, tally.at_work, server.is_closed) == (COUNTED, 0, True)


async def test_a_request_that_is_there_whole_is_given_at_once() -> None:
    server = Server()
    await exchange(server).write(ASKED + b"\r\n{}")
    assert server.writes == 1
    assert server.heard.endswith(b"\r\n\r\n{}")


async def test_the_server_gets_one_request_that_it_answers_in_the_open_and_closes() -> None:
    server = Server()
    connection = exchange(server)
    odd = (
        b"Connection: keep-alive, x\r\nAccept-Encoding: gzip\r\nExpect: 100-continue\r\nX-A: b\r\n"
    )
    await connection.write(ASKED + odd + b"\r\n{}")
    head, _, body = server.heard.partition(b"\r\n\r\n")
    lines = head.lower().split(b"\r\n")
    assert lines[0] == b"post /v1/chat/completions http/1.1"
    assert sorted(lines[1:]) == [
        *(b"accept-encoding: identity", b"connection: close", b"content-length: 2", b"host: m"),
        b"x-a: b",
    ]
    assert body == b"{}"


@pytest.mark.parametrize("more", [b"GET / HTTP/1.1\r\nHost: m\r\n\r\n", b"x"])
async def test_nothing_reaches_the_server_behind_the_request(more: bytes) -> None:
    server = Server()
    with pytest.raises(ChannelClosed, match="one request"):
        await exchange(server).write(ASKED + b"\r\n{}" + more)
    assert server.heard.endswith(b"{}")
    connection = exchange(server)
    await connection.write(ASKED + b"\r\n{}")
    with pytest.raises(ChannelClosed, match="one request"):
        await connection.write(more)
    assert server.heard.endswith(b"{}")


@pytest.mark.parametrize(
    "asked",
    [
        b"nonsense\r\n\r\n",
        b"CONNECT host:1 HTTP/1.1\r\nHost: host:1\r\n\r\n",
        ASKED + b"Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: m\r\nX: " + b"a" * 70_000,
    ],
)
async def test_what_is_no_single_request_does_not_pass(asked: bytes) -> None:
    server = Server()
    with pytest.raises(ChannelClosed):
        await exchange(server).write(asked)
    assert server.heard == b""


async def test_a_client_that_stops_in_the_middle_of_its_request_is_gone() -> None:
    connection = exchange(Server())
    await connection.write(ASKED)
    with pytest.raises(ChannelClosed, match="not complete"):
        await connection.end_input()


async def test_an_error_of_the_server_costs_nothing() -> None:
    tally = Tally()
    said = b"HTTP/1.1 429 Too Many\r\nContent-Length: 2\r\n\r\n{}"
    connection = exchange(Server(said), tally)
    await connection.write(ASKED + b"\r\n{}")
    assert await answered(connection) == said
    assert tally.units == NOTHING_SERVED


async def test_an_answer_that_breaks_off_counts_as_far_as_it_was_passed_on() -> None:
    tally = Tally()
    head = (
        b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    event = b'data: {"choices": [{"delta": {"content": "a"}}]}\n\n'
    chunk = b"%x\r\n%s\r\n" % (len(event), event)
    connection = exchange(Server(head + chunk, chunk), tally)
    await connection.write(ASKED + b"\r\n{}")
    await connection.read()
    await connection.read()
    with pytest.raises(EngineUnavailable):
        await connection.read()
    await connection.aclose()
    assert tally.units == Units(output_tokens=2, requests=1)


async def test_what_a_server_says_behind_its_answer_is_passed_to_nobody() -> None:
    whole = HEAD % len(ANSWER) + ANSWER
    connection = exchange(Server(whole, b"HTTP/1.1 200 OK\r\n\r\n"))
    await connection.write(ASKED + b"\r\n{}")
    assert await answered(connection) == whole


async def test_what_is_no_answer_is_not_passed_on() -> None:
    connection = exchange(Server(b"220 smtp.example\r\n\r\n"))
    await connection.write(ASKED + b"\r\n{}")
    with pytest.raises(EngineUnavailable, match="no HTTP answer"):
        await connection.read()


async def test_nothing_is_passed_on_before_it_is_signed_for(autojump_clock: object) -> None:
    signed = False
    whole = HEAD % len(ANSWER) + ANSWER
    tally = Tally()
    connection = UseConnection(
        Server(whole[:90], whole[90:]), tally, lambda: not signed, lambda _: False
    )
    await connection.write(ASKED + b"\r\n{}")
    with trio.move_on_after(10):
        await connection.read()
    assert tally.units == NOTHING_SERVED
    # What was read and not passed on is lost with the stream, as the rest of it.
    signed = True
    await connection.read()
    assert tally.units == COUNTED


async def test_what_no_escrow_could_pay_is_not_passed_on() -> None:
    whole = HEAD % len(ANSWER) + ANSWER
    before = Units(requests=1)
    tally = Tally(before)
    pays = Units(requests=2)

    def is_beyond(served: Units) -> bool:
        return not pays.covers(served)

    connection = UseConnection(Server(whole), tally, lambda: False, is_beyond)
    await connection.write(ASKED + b"\r\n{}")
    with pytest.raises(EngineUnavailable, match="cannot pay"):
        await connection.read()
    assert connection.is_used_up
    await connection.aclose()
    assert tally.units == before
    pays = before + COUNTED
    connection = UseConnection(Server(whole), tally, lambda: False, is_beyond)
    await connection.write(ASKED + b"\r\n{}")
    assert await answered(connection) == whole
    assert not connection.is_used_up


async def test_what_is_not_signed_for_in_time_is_broken_off(autojump_clock: object) -> None:
    connection = UseConnection(Server(HEAD % 0), Tally(), lambda: True, lambda _: False)
    await connection.write(ASKED + b"\r\n{}")
    began_s = trio.current_time()
    with pytest.raises(EngineUnavailable, match="no voucher"):
        await connection.read()
    assert trio.current_time() - began_s == pytest.approx(30.0)
