"""The market's end of the socket to the api (see `rpc` for what travels)."""

import contextlib
import logging
from collections.abc import Awaitable, Callable, Mapping

import trio

from neurogrid_marketplace.fields import decode
from neurogrid_marketplace.price_sheet import PriceSheet
from neurogrid_marketplace.standing import Standing
from neurogrid_p2p.peer_lists import PeerLists

from .rpc import MAX_CALLS, CallFailed, Frame, decoder, encode

# Frames that wait for the api to read; then the nodes wait.
_OUTBOX_FRAMES = 256
_READ_BYTES = 262_144

_log = logging.getLogger(__name__)


class ApiGone(Exception):
    """The other process closed the socket or died."""


class Door:
    """The market's end.

    Args:
        call: answers one call; what it raises is reported, `CallFailed` with its code.
        taken: told that the api has dealt with some messages of a lane.
        standings: told what is known of nodes.
        admit: told which peers may connect.
        price: told what awards cleared at.
    """

    def __init__(
        self,
        stream: trio.SocketStream,
        call: Callable[[str, Frame], Awaitable[Frame]],
        taken: Callable[[str, int], None],
        standings: Callable[[Mapping[str, Standing]], None],
        admit: Callable[[PeerLists], None],
        price: Callable[[PriceSheet], None],
    ) -> None:
        self._stream = stream
        self._call = call
        self._taken = taken
        self._standings = standings
        self._admit = admit
        self._price = price
        self._calls: dict[int, trio.CancelScope] = {}
        self._outbox, self._to_write = trio.open_memory_channel[bytes](_OUTBOX_FRAMES)

    async def notify(self, kind: str, **values: object) -> None:
        """Tell the api something; waits while it does not read, and ends when it is gone."""
        await self._put(encode({"kind": kind, **values}))

    async def run(self) -> None:
        """Answer calls until the api is gone.

        Raises:
            ApiGone: always, in the end.
        """
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._write)
            frames = decoder()
            while True:
                for frame in frames.feed(await self._read()):
                    self._take(frame, nursery)

    async def _read(self) -> bytes:
        try:
            data = bytes(await self._stream.receive_some(_READ_BYTES))
        except trio.BrokenResourceError:
            raise ApiGone from None  # it died with something unread
        if not data:
            raise ApiGone
        return data

    def _take(self, frame: Frame, nursery: trio.Nursery) -> None:
        match frame["kind"]:
            case "call":
                call_id = decode(int, frame["id"])
                # The scope exists before the task runs, so that a cancel cannot come too early.
                self._calls[call_id] = trio.CancelScope()
                nursery.start_soon(self._answer, call_id, frame)
            case "cancel":
                scope = self._calls.get(decode(int, frame["id"]))
                if scope is not None:
                    scope.cancel()
            case "taken":
                self._taken(decode(str, frame["lane"]), decode(int, frame["count"]))
            case "standings":
                self._standings(decode(dict[str, Standing], frame["standings"]))
            case "peers":
                self._admit(decode(PeerLists, frame["lists"]))
            case "prices":
                self._price(decode(PriceSheet, frame["sheet"]))

    async def _answer(self, call_id: int, frame: Frame) -> None:
        failure = ("cancelled", "")
        try:
            with self._calls[call_id]:
                value = await self._value(frame)
                await self._put(encode({"kind": "reply", "id": call_id, "value": value}))
                return
        except CallFailed as error:
            failure = (error.code, str(error))
        except Exception as error:  # noqa: BLE001 - one call's outermost boundary
            _log.exception("call %s", frame.get("method"))
            failure = ("bug", f"{type(error).__name__}: {error}")
        finally:
            del self._calls[call_id]
        code, message = failure
        await self._put(
            encode({"kind": "failure", "id": call_id, "code": code, "message": message})
        )

    async def _value(self, frame: Frame) -> Frame:
        if len(self._calls) > MAX_CALLS:
            raise CallFailed("busy", f"more than {MAX_CALLS} calls")
        arguments = decode(dict[str, object], frame["arguments"])
        return await self._call(decode(str, frame["method"]), arguments)

    async def _put(self, encoded: bytes) -> None:
        # Broken: the api is gone, and this process is about to be.
        with contextlib.suppress(trio.BrokenResourceError):
            await self._outbox.send(encoded)

    async def _write(self) -> None:
        # Leaving the block lets go of whoever waits in `_put`, shielded or not.
        async with self._to_write:
            async for encoded in self._to_write:
                try:
                    await self._stream.send_all(encoded)
                except trio.BrokenResourceError:
                    raise ApiGone from None
