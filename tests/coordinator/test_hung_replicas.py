"""Replicas that take a request and say nothing: given up by what is known, replaced unseen, taken out, and nothing is billed."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from coordinator.fake_jobs import Serve
from coordinator.on_asyncio import on_asyncio
from coordinator.replica_world import HEAD, ReplicaWorld, open_replica_world, well_but, words
from coordinator.test_hostile_servers import noted, time_passes
from coordinator.test_paid_use import ask, event, events_of, paid, piece, uses
from neurogrid_coordinator.replicas.asking import LIMITS, AskLimits
from neurogrid_coordinator.replicas.pool import HANGS_MAX
from neurogrid_marketplace import first_byte
from neurogrid_marketplace.first_byte import Work, WorkKind

WORK = Work(WorkKind.BEGIN, 2)
# The catalogue's limit alone would be waited for much longer than the test may take.
UNHURRIED = AskLimits()


@pytest.fixture(autouse=True)
def _hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(first_byte, "LEAST_MS", 400)


class Moody:
    """A server that answers until it is told to say nothing, and is well all the time.

    Attributes:
        hung: how many requests it has let wait.
    """

    def __init__(self, *says: bytes) -> None:
        self.says = says or (HEAD, b"to ", b"be")
        self.hangs = False
        self.hung = 0
        self.serve: Serve = well_but(self._answer)

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.hangs:
            self.hung += 1
            await reader.read()
            return
        for each in self.says:
            writer.write(each)
            await writer.drain()


async def known(here: ReplicaWorld, *task_ids: str) -> None:
    """Each has answered often enough that it is known how long it takes."""
    for task_id in task_ids:
        for _ in range(3):
            replica = here.pool.replicas[task_id]
            replica.first_bytes = replica.first_bytes.came(WORK, 1)


@on_asyncio
async def test_one_that_says_nothing_is_replaced_unseen_and_taken_out(tmp_path: Path) -> None:
    async with open_replica_world(tmp_path) as here:
        moody = Moody()
        first, second = await here.two_up(moody.serve, words)
        await known(here, first, second)
        moody.hangs = True
        # The other one is at work, so the hung one is the least loaded.
        here.pool.replicas[second].at_work += 1
        status, body, by = await here.ask(limits=UNHURRIED, work=WORK)
        assert (status, body, by, moody.hung) == (200, b"to be or", second, 1)
        hung = here.pool.replicas[first]
        assert not hung.takes
        assert hung.state == "away"
        # Its server says that it is well: it is asked again once it has rested.
        await here.upkeep.look()
        await here.until(lambda: hung.takes)
        assert (await here.ask(limits=UNHURRIED, work=WORK))[2] == second
        moody.hangs = False
        here.turn(1)
        assert (await here.ask(limits=UNHURRIED, work=WORK))[2] == first
        assert (hung.hangs, hung.health.failures) == (0, 0)


@on_asyncio
async def test_one_that_answers_nobody_ends_and_another_one_is_begun(tmp_path: Path) -> None:
    async with open_replica_world(tmp_path, replicas_min=2) as here:
        moody = Moody()
        first, second = await here.two_up(moody.serve, words)
        moody.hangs = True
        for number in range(HANGS_MAX):
            await known(here, first)
            here.turn(5)
            here.pool.dispatch()
            await here.upkeep.look()
            await here.until(lambda: here.pool.replicas[first].takes)
            here.pool.replicas[second].at_work += 1
            await here.ask(limits=UNHURRIED, work=WORK)
            here.pool.replicas[second].at_work -= 1
            assert moody.hung == number + 1
        await here.upkeep.look()
        (row,) = [row for row in await here.rows() if row.id == first]
        assert row.state.cancel_requested
        assert here.pool.problem.endswith(f"has answered none of the last {HANGS_MAX} requests")
        # Not at once: an image whose servers all hang is not begun over and over.
        assert here.pool.tally.begun == 2
        here.turn(2)
        await here.upkeep.look()
        assert len(here.pool.replicas.keys() - {first, second}) == 1, "its successor"


STOPPABLE = """
import http.server
class Server(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.send_header("content-length", "0"); self.end_headers()
    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(200); self.send_header("content-length", "2"); self.end_headers()
        self.wfile.write(b"hi")
    def log_message(self, *_): pass
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server)
print(server.server_port, flush=True)
server.serve_forever()
"""


@asynccontextmanager
async def stoppable() -> AsyncIterator[tuple[Serve, int]]:
    """A server that is a process of its own, and its id."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", STOPPABLE), stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    port = int(await process.stdout.readline())

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", port)

        async def give() -> None:
            while data := await reader.read(4096):
                back.write(data)

        giving = asyncio.create_task(give())
        try:
            while data := await there.read(4096):
                writer.write(data)
                await writer.drain()
        finally:
            giving.cancel()
            back.close()

    try:
        yield serve, process.pid
    finally:
        process.kill()
        await process.wait()


@on_asyncio
async def test_one_that_is_stopped_is_replaced_unseen_and_serves_again_when_it_goes_on(
    tmp_path: Path,
) -> None:
    async with open_replica_world(tmp_path) as here, stoppable() as (serve, pid):
        first, second = await here.two_up(serve, words)
        here.pool.replicas[second].at_work += 1
        for _ in range(3):
            assert (await here.ask(limits=UNHURRIED, work=WORK))[1:] == (b"hi", first)
        os.kill(pid, signal.SIGSTOP)
        try:
            status, body, by = await here.ask(limits=UNHURRIED, work=WORK)
            assert (status, body, by) == (200, b"to be or", second)
            stopped = here.pool.replicas[first]
            here.turn(5)
            await here.upkeep.look()
            # Its kernel takes connections for it, and nobody is well there.
            assert not stopped.takes
            for _ in range(3):
                assert (await here.ask(limits=UNHURRIED, work=WORK))[2] == second
        finally:
            os.kill(pid, signal.SIGCONT)
        await here.until(lambda: stopped.takes)
        assert (await here.ask(limits=UNHURRIED, work=WORK))[1:] == (b"hi", first)


@pytest.mark.parametrize("says", [b"", HEAD, HEAD + b": here\n\n", HEAD + 3 * b": here\n\n"])
@on_asyncio
async def test_whose_client_is_answered_by_another_try_pays_for_that_alone(
    tmp_path: Path, says: bytes
) -> None:
    usage = event({"choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": 1}})
    well = (HEAD, piece("w "), piece("", "stop"), usage, b"data: [DONE]\n\n")
    silent = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal silent
        if silent:
            silent -= 1
            writer.write(says)
            with suppress(OSError):
                while not reader.at_eof():
                    # What is no answer puts off nothing.
                    if says.count(b"here") > 1:
                        writer.write(b": here\n\n")
                        await writer.drain()
                    await asyncio.sleep(0.02)
            return
        for each in well:
            writer.write(each)
            await writer.drain()

    async with paid(tmp_path, well_but(serve)) as (here, alice):
        for _ in range(3):
            await ask(alice)
        await noted(here, alice, 3)
        silent = 1
        # What may pass between two pieces of an answer is more: a word that is none of one is no piece.
        async with time_passes(here, looks=True), asyncio.timeout(LIMITS.between_s / 2):
            first, last, done = events_of(await ask(alice))
        assert (first["choices"][0]["text"], done) == ("w ", "[DONE]")
        assert last["neurogrid"]["cost_micro_usdc"] in (0, 1)
        assert silent == 0
        await noted(here, alice, 4)


@pytest.mark.parametrize("stream", [True, False])
@on_asyncio
async def test_an_answer_that_fails_stands_in_the_error_log_of_its_account(
    tmp_path: Path, stream: bool
) -> None:
    async def breaks_off(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = HEAD.replace(b"Connection: close", b"Content-Length: 999")
        writer.write(head + piece("w ") if stream else b"no HTTP")

    async with paid(tmp_path, well_but(breaks_off)) as (here, alice):
        bob = await here.world.customer("bob")
        async with time_passes(here, looks=True):
            answer = await ask(alice, stream=stream)
        assert (answer.status_code == 200) == stream
        (failed,) = (await alice.http.get("/api/v1/errors")).json()["data"]["errors"]
        assert (failed["severity"], failed["code"], failed["context"]["model"]) == (
            *("medium", "UNAVAILABLE", "warm"),
        )
        if stream:
            (replica,) = here.pool.replicas.values()
            (row,) = await uses(here, alice)
            assert "broke off after" in failed["message"]
            assert failed["context"]["replica"] == replica.task_id
            assert failed["task_id"] == row.id
        said = {"resolution": "Its image lacked a library."}
        told = await alice.http.patch(f"/api/v1/errors/{failed['id']}", json=said)
        assert told.json()["data"]["resolution"] == said["resolution"]
        assert (await bob.http.get("/api/v1/errors")).json()["data"]["errors"] == []
