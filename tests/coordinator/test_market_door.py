"""The market's end of the socket, on trio, against frames written by hand."""

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
import trio.testing

from neurogrid_coordinator.market.door import ApiGone, Door
from neurogrid_coordinator.market.rpc import CallFailed, Frame, decoder, encode
from neurogrid_marketplace.fields import plain
from neurogrid_marketplace.price_sheet import PriceSheet
from neurogrid_marketplace.standing import Standing
from neurogrid_p2p.peer_lists import PeerLists


class Api:
    """The other end."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self.stream = stream
        self._decoder = decoder()
        self._frames: list[Frame] = []

    async def say(self, frame: Frame) -> None:
        await self.stream.send_all(encode(frame))

    async def call(self, call_id: int, method: str, **arguments: object) -> None:
        await self.say({"kind": "call", "id": call_id, "method": method, "arguments": arguments})

    async def hear(self) -> Frame:
        while not self._frames:
            self._frames += self._decoder.feed(bytes(await self.stream.receive_some(65_536)))
        return self._frames.pop(0)


class Market:
    """What the door calls."""

    def __init__(self) -> None:
        self.taken: list[tuple[str, int]] = []
        self.lists: list[PeerLists] = []
        self.sheets: list[PriceSheet] = []
        self.cancelled: list[str] = []
        self.standings: dict[str, Standing] = {}

    async def call(self, method: str, arguments: Frame) -> Frame:
        match method:
            case "echo":
                return arguments
            case "refuse":
                raise CallFailed("unreachable", "not there")
            case "break":
                raise RuntimeError("boom")
            case "large":
                return {"data": b"x" * 17_000_000}
        try:
            await trio.sleep_forever()
        except trio.Cancelled:
            self.cancelled.append(method)
            raise
        raise AssertionError

    def note(self, lane: str, count: int) -> None:
        self.taken.append((lane, count))


@asynccontextmanager
async def door() -> AsyncIterator[tuple[Api, Door, Market]]:
    ours, theirs = socket.socketpair()
    market = Market()
    stream = trio.SocketStream(trio.socket.from_stdlib_socket(ours))
    api = Api(trio.SocketStream(trio.socket.from_stdlib_socket(theirs)))
    opened = Door(
        stream,
        market.call,
        market.note,
        market.standings.update,
        market.lists.append,
        market.sheets.append,
    )
    async with stream, api.stream, trio.open_nursery() as nursery:
        nursery.start_soon(opened.run)
        yield api, opened, market
        nursery.cancel_scope.cancel()


async def test_calls_are_answered_as_they_finish_and_a_slow_one_delays_none() -> None:
    async with door() as (api, _, _):
        await api.call(1, "wait")
        for number in range(2, 50):
            await api.call(number, "echo", n=number)
        answers = [await api.hear() for _ in range(2, 50)]
        assert sorted(answers, key=lambda answer: int(str(answer["id"]))) == [
            {"kind": "reply", "id": number, "value": {"n": number}} for number in range(2, 50)
        ]


@pytest.mark.parametrize(
    ("method", "code", "message"),
    [
        ("refuse", "unreachable", "not there"),
        ("break", "bug", "RuntimeError: boom"),
        ("large", "too_large", "a frame of 17000"),
    ],
)
async def test_a_failure_has_a_code_and_words(method: str, code: str, message: str) -> None:
    async with door() as (api, _, _):
        await api.call(1, method)
        failure = await api.hear()
        assert (failure["kind"], failure["id"], failure["code"]) == ("failure", 1, code)
        assert message in str(failure["message"])
        await api.call(2, "echo")
        assert (await api.hear())["id"] == 2


async def test_a_cancelled_call_ends_and_says_so() -> None:
    async with door() as (api, _, market):
        await api.call(7, "wait")
        await api.say({"kind": "cancel", "id": 7})
        await api.say({"kind": "cancel", "id": 99})
        assert (await api.hear())["code"] == "cancelled"
        assert market.cancelled in (["wait"], [])
        await api.say({"kind": "taken", "lane": "n", "count": 3})
        await api.say({"kind": "peers", "lists": {"allow": ["a"], "deny": {"b": "why"}}})
        await api.say({"kind": "prices", "sheet": {"made_at_ms": 5, "hours": 24, "classes": []}})
        await api.call(8, "echo")
        assert (await api.hear())["id"] == 8
        assert market.sheets == [PriceSheet(5, 24)]
        assert market.taken == [("n", 3)]
        assert market.lists == [PeerLists(frozenset({"a"}), {"b": "why"})]


async def test_what_the_market_says_waits_while_the_api_does_not_read() -> None:
    async with door() as (api, opened, _):
        said = 0
        with trio.move_on_after(0.5):
            while True:
                await opened.notify("message", n=said, filling=b"x" * 10_000)
                said += 1
        assert said < 1_000
        for number in range(said):
            assert (await api.hear())["n"] == number


@pytest.mark.parametrize("unread", [True, False])
async def test_the_end_of_the_api_ends_the_market_and_whoever_waits_to_speak(
    unread: bool,
) -> None:
    ours, theirs = socket.socketpair()
    market = Market()
    stream = trio.SocketStream(trio.socket.from_stdlib_socket(ours))
    opened = Door(
        stream,
        market.call,
        market.note,
        market.standings.update,
        market.lists.append,
        market.sheets.append,
    )

    async def speak() -> None:
        with trio.CancelScope(shield=True):
            for _ in range(1_000):
                await opened.notify("message", filling=b"x" * 10_000)

    async def run() -> None:
        async with stream, trio.open_nursery() as nursery:
            nursery.start_soon(opened.run)
            nursery.start_soon(speak)
            await trio.testing.wait_all_tasks_blocked(0.05)
            if unread:
                theirs.send(encode({"kind": "cancel", "id": 0}) * 3)
            theirs.close()

    with trio.fail_after(60), pytest.raises(ExceptionGroup) as group:
        await run()
    assert group.group_contains(ApiGone)


async def test_standings_arrive_without_an_answer() -> None:
    async with door() as (api, _, market):
        good = Standing(score_permille=900, stake_micro_usdc=5_000_000)
        await api.say({"kind": "standings", "standings": {"node": plain(good)}})
        await api.call(1, "echo")
        assert (await api.hear())["kind"] == "reply"
        assert market.standings == {"node": good}
