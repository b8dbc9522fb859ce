"""Requests to a replica in a real container, by a lease for its use: what passes, what counts, and who is refused."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import trio

from engine.bench import PATIENCE_S, Bench
from engine.test_job_door import AHEAD_MICRO_USDC, LEASE, Node, heard, node
from engine.test_job_ports import refusal
from neurogrid_marketplace.execution import accept
from neurogrid_marketplace.faults import Outcome
from neurogrid_marketplace.job import Job
from neurogrid_marketplace.job_stream import (
    USE_STREAM_PROTOCOL_ID,
    WINDOW_BYTES,
    Credit,
    Exited,
    ExitReason,
    FrameKind,
    OpenPort,
    Refused,
    StreamRefusal,
    write_bytes,
    write_words,
)
from neurogrid_marketplace.lease import NodeLease
from neurogrid_marketplace.messages import Meter, VoucherMessage
from neurogrid_marketplace.offer import LeasePhase
from neurogrid_marketplace.service import Service
from neurogrid_marketplace.serving import Use
from neurogrid_marketplace.units import UnitPrices, Units
from neurogrid_node.access.frames import FrameStream
from neurogrid_node.container import ports
from neurogrid_node.container.views import ContainerView
from neurogrid_p2p.errors import ChannelClosed
from node.lease_world import lease_world
from node.market import award, start

pytestmark = pytest.mark.engine

PORT = 8000
USE_LEASE = "lease_" + "5" * 32
PRICES = UnitPrices(output_tokens=1_000_000)
# As OpenAI's servers do, with what the path says: whole, in events, in events without an end, or in five until the client goes.
SERVER = f"""
import http.server, json, time
USAGE = {{"prompt_tokens": 4, "completion_tokens": 3, "total_tokens": 7}}
class Server(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        if self.path == "/whole":
            data = json.dumps({{"choices": [{{"message": {{"content": "one"}}}}], "usage": USAGE}}).encode()
            self.send_response(200)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)
            return
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        words = {{"/events": ["one", "two", "three"], "/held": ["again"] * 5}}.get(self.path, ["again"] * 10**6)
        for word in words:
            self.say({{"choices": [{{"delta": {{"content": word}}}}]}})
            time.sleep(0.02)
        if self.path == "/held":
            self.rfile.read(1)
            print("left", flush=True)
        self.say({{"choices": [], "usage": USAGE}})
        self.wfile.write(b"0\\r\\n\\r\\n")
    def say(self, value):
        data = b"data: " + json.dumps(value).encode() + b"\\n\\n"
        self.wfile.write(b"%x\\r\\n%s\\r\\n" % (len(data), data))
http.server.ThreadingHTTPServer(("127.0.0.1", {PORT}), Server).serve_forever()
"""


def request(path: str) -> bytes:
    return f"POST {path} HTTP/1.1\r\nHost: m\r\nContent-Length: 2\r\n\r\n{{}}".encode()


@asynccontextmanager
async def replica(bench: Bench, max_unpaid_micro_usdc: int = 10**6) -> AsyncIterator[Node]:
    """A node with a replica that answers, and a lease for its use."""
    async with node(bench, program=SERVER, service=Service(PORT)) as here:
        lease = here.leases[LEASE]
        here.leases[LEASE] = replace(lease, serves="m")
        made = accept(
            award("0" * 64, lease_id=USE_LEASE, max_cost_micro_usdc=1_000),
            lease.coordinator,
            60_000,
            1,
            use=Use(LEASE, "m", PRICES, 1_000),
            max_unpaid_micro_usdc=max_unpaid_micro_usdc,
        )
        begun = start(lease_id=USE_LEASE, job=Job("neurogrid/job:1", uses=LEASE))
        here.leases[USE_LEASE] = replace(made, start=begun, phase=LeasePhase.RUNNING)
        view = await bench.engine.inspect(here.container_id)
        while True:
            try:
                connection = await ports.connect(view.pid, view.container_id, PORT)
                break
            except ports.NotListening:
                await trio.sleep(0.02)
        await connection.aclose()
        yield here


async def begin(stream: FrameStream, words: bytes, lease_id: str = USE_LEASE) -> FrameStream:
    """Begin an exchange on a stream, without waiting for anything."""
    await stream.send(write_words(OpenPort(lease_id)) + write_bytes(FrameKind.INPUT, words))
    return stream


async def sent(here: Node, words: bytes, lease_id: str = USE_LEASE) -> FrameStream:
    """An exchange on a stream of its own."""
    return await begin(await here.raw(USE_STREAM_PROTOCOL_ID), words, lease_id)


async def refused(stream: FrameStream) -> StreamRefusal:
    frame = await stream.receive()
    assert frame.kind is FrameKind.REFUSED, frame
    return frame.words(Refused).code


async def use_refusal(here: Node, lease_id: str = USE_LEASE) -> StreamRefusal:
    stream = await sent(here, request("/whole"), lease_id)
    code = await refused(stream)
    here.leave[stream]()
    return code


def units(here: Node) -> Units:
    return here.uses.tally_of(here.leases[USE_LEASE]).units


def signed(lease: NodeLease, amount: int) -> NodeLease:
    return replace(lease, voucher=VoucherMessage(lease.lease_id, amount, "0" * 128, False))


async def test_requests_are_answered_and_counted(bench: Bench) -> None:
    async with replica(bench) as here:
        said, exited = await heard(await sent(here, request("/whole")))
        assert exited == Exited(0)
        assert json.loads(said[FrameKind.OUTPUT].partition(b"\r\n\r\n")[2])["usage"]
        assert units(here) == Units(input_tokens=4, output_tokens=3, requests=1)
        said, exited = await heard(await sent(here, request("/events")))
        assert (exited, said[FrameKind.OUTPUT].count(b"data:")) == (Exited(0), 4)
        assert units(here) == Units(input_tokens=8, output_tokens=6, requests=2)


async def test_who_goes_pays_what_was_passed_on_and_the_server_stops(bench: Bench) -> None:
    async with replica(bench) as here:
        stream = await sent(here, request("/held"))
        passed = b""
        while passed.count(b"data:") < 5:
            frame = await stream.receive()
            passed += frame.payload if frame.kind is FrameKind.OUTPUT else b""
        here.leave[stream]()
        tally = here.uses.tally_of(here.leases[USE_LEASE])
        with trio.fail_after(PATIENCE_S):
            async with bench.engine.follow_logs(here.container_id) as chunks:
                async for chunk in chunks:
                    if "left" in chunk.text:
                        break
            while tally.at_work:  # noqa: ASYNC110 - nobody is told of it
                await trio.sleep(0.02)
        assert units(here) == Units(output_tokens=5, requests=1)


async def test_nothing_passes_beyond_what_may_be_unpaid(bench: Bench) -> None:
    async with replica(bench, max_unpaid_micro_usdc=4) as here:
        stream = await sent(here, request("/endless"))
        passed = b""
        # Five are more than four: the next one waits, however long.
        while passed.count(b"data:") < 5:
            frame = await stream.receive()
            passed += frame.payload if frame.kind is FrameKind.OUTPUT else b""
        with trio.move_on_after(0.3):
            frame = await stream.receive()
            passed += frame.payload
        assert passed.count(b"data:") == units(here).output_tokens == 5
        assert await use_refusal(here) is StreamRefusal.UNPAID
        here.leases[USE_LEASE] = signed(here.leases[USE_LEASE], 5)
        while passed.count(b"data:") < 9:
            frame = await stream.receive()
            passed += frame.payload if frame.kind is FrameKind.OUTPUT else b""
            if frame.kind is FrameKind.OUTPUT:
                await stream.send(write_words(Credit(len(frame.payload))))
        # Its end breaks off what is under way.
        await here.uses.stop(USE_LEASE)
        assert (await heard(stream))[1] == Exited(-1, ExitReason.LOST)
        assert await use_refusal(here) is StreamRefusal.NOT_RUNNING


async def test_it_is_served_before_its_escrow_is_seen_as_far_as_its_owner_lets_it(
    bench: Bench,
) -> None:
    async with replica(bench) as here:
        lease = here.leases[USE_LEASE]
        here.leases[USE_LEASE] = replace(lease, phase=LeasePhase.ACCEPTED, start=None)
        said, exited = await heard(await sent(here, request("/events")))
        assert (exited, said[FrameKind.OUTPUT].count(b"data:")) == (Exited(0), 4)
        stream = await sent(here, request("/endless"))
        passed = b""
        # Three are counted already: one beyond the limit, and the next one waits.
        while passed.count(b"data:") < AHEAD_MICRO_USDC + 1 - 3:
            frame = await stream.receive()
            passed += frame.payload if frame.kind is FrameKind.OUTPUT else b""
        assert await use_refusal(here) is StreamRefusal.NOT_RUNNING
        # Its escrow is there, and it goes on.
        here.leases[USE_LEASE] = lease
        while passed.count(b"data:") < AHEAD_MICRO_USDC + 5:
            frame = await stream.receive()
            passed += frame.payload if frame.kind is FrameKind.OUTPUT else b""
            if frame.kind is FrameKind.OUTPUT:
                await stream.send(write_words(Credit(len(frame.payload))))
        here.leave[stream]()


async def test_nothing_passes_that_its_escrow_could_not_pay(bench: Bench) -> None:
    async with replica(bench) as here:
        lease = here.leases[USE_LEASE]
        assert lease.use is not None
        here.leases[USE_LEASE] = replace(lease, use=replace(lease.use, max_cost_micro_usdc=4))
        said, exited = await heard(await sent(here, request("/endless")))
        assert said[FrameKind.OUTPUT].count(b"data:") == units(here).output_tokens == 4
        assert exited == Exited(-1, ExitReason.USED_UP)
        assert await use_refusal(here) is StreamRefusal.USED_UP


async def test_a_lease_that_ends_while_its_replica_is_connected_to_takes_no_request(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with replica(bench) as here:
        inspect = bench.engine.inspect

        async def slow(name: str) -> ContainerView:
            view = await inspect(name)
            here.uses.ends(USE_LEASE)
            return view

        monkeypatch.setattr(bench.engine, "inspect", slow)
        # Refused, so that it is asked for under another lease, and not broken off in its middle.
        assert await use_refusal(here) is StreamRefusal.NOT_RUNNING
        assert here.uses.tally_of(here.leases[USE_LEASE]).at_work == 0


async def test_who_is_not_served(bench: Bench) -> None:
    async with replica(bench) as here:
        # Nobody comes to the replica itself, nor beside it.
        assert await refusal(here) is StreamRefusal.PER_USE
        assert await here.refusal() is StreamRefusal.PER_USE
        streams = [await sent(here, request("/endless")) for _ in range(2)]
        assert await use_refusal(here) is StreamRefusal.TOO_MANY
        for stream in streams:
            while (await stream.receive()).kind is not FrameKind.OUTPUT:
                pass
            here.leave[stream]()
        lease, serving = here.leases[USE_LEASE], here.leases[LEASE]
        assert lease.use is not None
        dear = replace(lease.use, prices=UnitPrices(requests=10**12))
        for of, changed, reason in (
            (LEASE, replace(serving, phase=LeasePhase.STOPPING), StreamRefusal.NOT_RUNNING),
            (LEASE, replace(serving, paused_at_ms=1), StreamRefusal.NOT_RUNNING),
            (LEASE, replace(serving, coordinator="another"), StreamRefusal.NOT_RUNNING),
            (USE_LEASE, replace(lease, phase=LeasePhase.STOPPING), StreamRefusal.NOT_RUNNING),
            (USE_LEASE, replace(lease, use=dear), StreamRefusal.USED_UP),
            (USE_LEASE, replace(lease, coordinator="another"), StreamRefusal.NO_LEASE),
        ):
            before, here.leases[of] = here.leases[of], changed
            assert await use_refusal(here) is reason, changed
            here.leases[of] = before


async def test_a_lease_for_use_is_served_metered_signed_and_redeemed(
    bench: Bench, tmp_path: Path
) -> None:
    async with replica(bench) as here:
        coordinator = here.leases[LEASE].coordinator
        use = Use(LEASE, "m", PRICES, 1_000, idle_s=2)
        job = Job("neurogrid/job:1", uses=LEASE)
        async with lease_world(
            tmp_path, job=job, use=use, uses=here.uses, coordinator=coordinator
        ) as world:
            here.runners[world.lease.lease_id] = lambda: world.lease
            world.start()
            await world.until_phase(LeasePhase.RUNNING, PATIENCE_S)
            for _ in range(20):
                said, exited = await heard(
                    await sent(here, request("/events"), world.lease.lease_id)
                )
                assert (exited, said[FrameKind.OUTPUT].count(b"data:")) == (Exited(0), 4)
            served = Units(input_tokens=80, output_tokens=60, requests=20)
            # More than half of what may be unpaid: it asks before its interval is over.
            await world.until(lambda: bool(world.all_sent(Meter)), PATIENCE_S)
            meter = world.all_sent(Meter)[-1]
            assert meter.served is not None
            assert served.covers(meter.served)
            assert meter.cumulative_micro_usdc == meter.served.output_tokens > 50
            world.voucher(60)
            await world.until_phase(LeasePhase.REPORTED, PATIENCE_S)
            assert world.result().outcome is Outcome.COMPLETED
            assert world.result().served == served
            await world.settle()
            assert world.earnings.redeemed == [60]


async def test_what_is_no_request_ends_the_stream(bench: Bench) -> None:
    async with replica(bench) as here:
        stream = await sent(here, b"SSH-2.0-client\r\n\r\n")
        with pytest.raises(ChannelClosed):
            await heard(stream)


async def test_a_stream_carries_one_exchange_after_the_other_each_by_its_own_lease(
    bench: Bench,
) -> None:
    async with replica(bench) as here:
        stream = await here.raw(USE_STREAM_PROTOCOL_ID)
        for _ in range(3):
            said, exited = await heard(await begin(stream, request("/events")))
            assert (exited, said[FrameKind.OUTPUT].count(b"data:")) == (Exited(0), 4)
            # Another lease of nobody's is refused, and spoils nothing.
            await begin(stream, request("/whole"), "lease_" + "8" * 32)
            assert await refused(stream) is StreamRefusal.NO_LEASE
        assert units(here) == Units(input_tokens=12, output_tokens=9, requests=3)


async def test_what_was_sent_for_an_exchange_that_is_over_is_no_part_of_the_next(
    bench: Bench,
) -> None:
    async with replica(bench) as here:
        stream = await here.raw(USE_STREAM_PROTOCOL_ID)
        await begin(stream, request("/endless"), LEASE)
        await stream.send(write_bytes(FrameKind.INPUT, request("/endless")))
        assert await refused(stream) is StreamRefusal.NO_SERVICE
        said, exited = await heard(await begin(stream, request("/whole")))
        assert (exited, said[FrameKind.OUTPUT].count(b"usage")) == (Exited(0), 1)
        assert units(here).requests == 1
        # Nor is it taken without end.
        for _ in range(6):
            await stream.send(write_bytes(FrameKind.INPUT, b"x" * (WINDOW_BYTES // 4)))
        with pytest.raises(ChannelClosed):
            await stream.receive()


async def test_two_requests_in_one_exchange_end_its_stream(bench: Bench) -> None:
    async with replica(bench) as here:
        stream = await sent(here, request("/endless") + request("/whole"))
        with pytest.raises(ChannelClosed):
            await heard(stream)
        assert not here.uses.tally_of(here.leases[USE_LEASE]).at_work


async def test_a_replica_that_begins_anew_is_found_again(bench: Bench) -> None:
    async with replica(bench) as here:
        stream = await here.raw(USE_STREAM_PROTOCOL_ID)
        assert (await heard(await begin(stream, request("/whole"))))[1] == Exited(0)
        api = bench.engine.execs._client.api
        await trio.to_thread.run_sync(lambda: api.restart(here.container_id, timeout=0))
        while True:
            await begin(stream, request("/whole"))
            frame = await stream.receive()
            if frame.kind is FrameKind.OUTPUT:
                break
            assert frame.words(Refused).code in (
                StreamRefusal.NOT_LISTENING,
                StreamRefusal.NOT_RUNNING,
            )
            await trio.sleep(0.02)
        assert (await heard(stream))[1] == Exited(0)
