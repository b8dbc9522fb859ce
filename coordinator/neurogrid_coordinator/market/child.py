"""One run of the market process, as its parent sees it: the process, the socket, the calls."""

import asyncio
import itertools
import json
import logging
import os
import socket
import sys
from collections.abc import AsyncGenerator

import msgspec

from neurogrid_marketplace.errors import MalformedMessage
from neurogrid_marketplace.fields import decode, plain

from .errors import MarketAway, MarketBug
from .reports import Traffic
from .rpc import MAX_CALLS, CallFailed, Frame, SocketWanted, decoder, encode
from .settings import MarketSettings

# Importing libp2p takes 2 s on a free core, and several times that when every core is busy.
START_LIMIT_S = 60.0
# A child that answers nothing for so long is stuck, and is replaced. Nodes hold out for 45 s.
PING_INTERVAL_S = 5.0
PING_LIMIT_S = 15.0
_EXIT_LIMIT_S = 5.0
_READ_BYTES = 262_144

_log = logging.getLogger(__name__)


class Child:
    """A running market process. Made by `start`; over when `frames` ends.

    Attributes:
        peer_id: the coordinator's.
        addresses: where nodes reach it.
        listen: its listening addresses with the ports that it got.
        traffic: as of its last answer to a ping.
    """

    def __init__(
        self,
        process: asyncio.subprocess.Process,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        lane: socket.socket,
    ) -> None:
        self.peer_id = ""
        self.addresses: tuple[str, ...] = ()
        self.listen: tuple[str, ...] = ()
        self.traffic = Traffic()
        self._process = process
        self._reader = reader
        self._writer = writer
        self._lane = lane
        self._waiting: dict[int, asyncio.Future[Frame]] = {}
        self._ids = itertools.count()
        self._calls = asyncio.Semaphore(MAX_CALLS)
        self._over = False
        # One generator for the whole life: it holds the bytes of a frame that is not complete.
        self._incoming = self._read()

    @classmethod
    async def start(cls, settings: MarketSettings) -> "Child":
        """Start a child and wait until nodes can connect.

        Raises:
            MarketAway: it died first (its log says why), or took too long.
        """
        ours, theirs = socket.socketpair()
        our_lane, their_lane = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        passed = (theirs.fileno(), their_lane.fileno())
        with theirs, their_lane:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", __package__, *map(str, passed), str(os.getpid())),
                json.dumps(plain(settings)),
                stdin=asyncio.subprocess.DEVNULL,
                pass_fds=passed,
            )
        try:
            our_lane.setblocking(False)
            reader, writer = await asyncio.open_unix_connection(sock=ours)
        except BaseException:
            ours.close()
            our_lane.close()
            process.kill()
            raise
        child = cls(process, reader, writer, our_lane)
        try:
            async with asyncio.timeout(START_LIMIT_S):
                await child._become_ready()
        except BaseException as error:
            await child.stop()
            if isinstance(error, TimeoutError):
                raise MarketAway(f"not ready within {START_LIMIT_S:.0f} s") from None
            raise
        return child

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    async def call(self, method: str, arguments: Frame, limit_s: float) -> Frame:
        """Ask the child something. Cancelled, the child stops working on it.

        Raises:
            MarketAway: the child is gone, or did not answer within ``limit_s``.
            CallFailed: its answer, where the caller of this knows what to make of the code.
            MarketBug: it could not do it.
        """
        async with self._calls:
            if self._over:
                raise MarketAway("the market process has ended")
            call_id = next(self._ids)
            answer: asyncio.Future[Frame] = asyncio.get_running_loop().create_future()
            self._waiting[call_id] = answer
            try:
                frame = {"kind": "call", "id": call_id, "method": method, "arguments": arguments}
                self._writer.write(encode(frame))
                async with asyncio.timeout(limit_s):
                    await self._writer.drain()
                    reply = await answer
            except TimeoutError:
                raise MarketAway(f"no answer to {method} within {limit_s:g} s") from None
            except ConnectionError as error:
                raise MarketAway("the market process has ended") from error
            finally:
                del self._waiting[call_id]
                if not answer.done():
                    self.tell({"kind": "cancel", "id": call_id})
        if reply["kind"] == "reply":
            return decode(dict[str, object], reply["value"])
        code, message = decode(str, reply["code"]), decode(str, reply["message"])
        if code == "busy":
            raise MarketAway(message)
        if code in ("bug", "unknown_method", "too_large"):
            raise MarketBug(f"{method}: {message}")
        raise CallFailed(code, message)

    def tell(self, frame: Frame) -> None:
        """Send a small frame that has no answer; nothing happens if the child is gone."""
        if not self._over:
            self._writer.write(encode(frame))

    def open_socket(self, wanted: SocketWanted) -> socket.socket:
        """A socket for this; its other end is with the child.

        Raises:
            MarketAway: the child is gone, or takes no more.
        """
        if self._over:
            raise MarketAway("the market process has ended")
        try:
            ours, theirs = socket.socketpair()
        except OSError as error:
            raise MarketAway(f"no socket for another stream: {error}") from error
        with theirs:
            try:
                socket.send_fds(self._lane, [msgspec.json.encode(wanted)], [theirs.fileno()])
            except OSError as error:
                ours.close()
                raise MarketAway("the market process takes no more streams") from error
        return ours

    async def frames(self) -> AsyncGenerator[Frame, None]:
        """What the child says by itself, until it is gone. Replies go to their callers."""
        watchdog = asyncio.create_task(self._watch())
        try:
            async for frame in self._incoming:
                yield frame
        finally:
            watchdog.cancel()
            self._end()

    async def stop(self) -> None:
        """End the child, if it has not ended; it closes its connections when the socket closes."""
        self._end()
        try:
            async with asyncio.timeout(_EXIT_LIMIT_S):
                await self._process.wait()
        except TimeoutError:
            self.kill()
            await self._process.wait()

    def kill(self) -> None:
        """End the child at once."""
        if self._process.returncode is None:
            self._process.kill()

    @property
    def exit_code(self) -> int | None:
        """Its exit code, negative for a signal; None while it runs."""
        return self._process.returncode

    async def _become_ready(self) -> None:
        frame = await anext(self._incoming, None)
        if frame is None:
            await self._process.wait()
            raise MarketAway(f"ended with {self.exit_code} before it was ready; its log says why")
        assert frame["kind"] == "ready", "the child says so first"
        self.peer_id = decode(str, frame["peer_id"])
        self.addresses = tuple(decode(list[str], frame["addresses"]))
        self.listen = tuple(decode(list[str], frame["listen"]))

    async def _read(self) -> AsyncGenerator[Frame, None]:
        frames = decoder()
        while True:
            try:
                data = await self._reader.read(_READ_BYTES)
            except ConnectionError:
                return
            if not data:
                return
            try:
                complete = frames.feed(data)
            except MalformedMessage:
                # Only a bug of ours can do this; nothing after it can be understood.
                _log.exception("the market process broke the framing")
                return
            for frame in complete:
                if frame["kind"] in ("reply", "failure"):
                    answer = self._waiting.get(decode(int, frame["id"]))
                    if answer is not None and not answer.done():
                        answer.set_result(frame)
                else:
                    yield frame

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(PING_INTERVAL_S)
            try:
                self.traffic = decode(Traffic, await self.call("ping", {}, PING_LIMIT_S))
            except MarketAway as error:
                _log.error("the market process is stuck and is killed: %s", error)
                self.kill()
                return

    def _end(self) -> None:
        self._over = True
        for answer in self._waiting.values():
            if not answer.done():
                answer.set_exception(MarketAway("the market process has ended"))
        self._writer.close()
        self._lane.close()
