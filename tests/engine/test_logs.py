"""Output of a job: at once, in order, once, and without leaving a thread behind."""

import hashlib
import threading

import pytest
import trio

from engine.bench import PATIENCE_S, Bench
from neurogrid_node.container.errors import ContainerGone
from neurogrid_node.container.log_cursor import LOG_START

pytestmark = pytest.mark.engine

TALKING = (
    "import time\nfor i in range(1000):\n    print('line', i, flush=True)\n    time.sleep(0.02)"
)
# What the test does when it is ready: makes a file among the job's inputs.
WAIT_FOR_GO = "while not os.path.exists('/inputs/go'): time.sleep(0.01)\n"
# The engine cuts lines into pieces of this size.
PIECE = 16 * 1024
SILENT = "import time; time.sleep(60)"


async def test_both_outputs_arrive_and_the_stream_ends_with_the_job(bench: Bench) -> None:
    program = (
        "import os\n"
        "os.write(1, b'out \\xc3\\xa4\\n')\n"
        "os.write(2, b'err \\xff\\n')\n"
        "os.write(1, b'no newline')"
    )
    ran = await bench.run(program)
    # In whatever order the engine's two readers got to run.
    assert "err \ufffd\n" in ran.log
    assert ran.log.replace("err \ufffd\n", "") == "out ä\nno newline"


async def test_cancelled_followers_leave_no_thread(bench: Bench) -> None:
    talking = await bench.start(TALKING)
    silent = await bench.start(SILENT)
    # One round makes trio's own pool of idle threads.
    for round_number in range(4):
        for container_id in (talking, silent):
            with trio.move_on_after(0.15):
                async with bench.engine.follow_logs(container_id) as chunks:
                    async for _ in chunks:
                        pass
        if round_number == 0:
            before = threading.active_count()
    assert threading.active_count() <= before
    assert not [t for t in threading.enumerate() if t.name == "stream reader"][1:], "events only"


async def test_leaving_early_ends_the_thread_too(bench: Bench) -> None:
    container_id = await bench.start(TALKING)
    async with bench.engine.follow_logs(container_id) as chunks:
        async for chunk in chunks:
            assert chunk.text.startswith("line 0")
            break
    assert len([t for t in threading.enumerate() if t.name == "stream reader"]) == 1


async def test_a_follower_that_comes_back_gets_each_line_once(bench: Bench) -> None:
    program = "import time\nfor i in range(60):\n    print(i, flush=True)\n    time.sleep(0.01)"
    container_id = await bench.start(program)
    text, cursor = "", LOG_START
    for _ in range(4):
        async with bench.engine.follow_logs(container_id, cursor=cursor) as chunks:
            async for chunk in chunks:
                text += chunk.text
                cursor = chunk.cursor
                if text.count("\n") % 15 == 0:
                    break
    async with bench.engine.follow_logs(container_id, cursor=cursor) as chunks:
        async for chunk in chunks:
            text += chunk.text
    assert text.split() == [str(i) for i in range(60)]


async def test_a_follower_that_comes_back_in_mid_line_gets_each_byte_once(bench: Bench) -> None:
    # A megabyte without a newline, half of it the same in every piece of the engine's.
    half = "".join(f"{number:07} " for number in range(30_000)) + "x" * 260_000
    program = (
        "import os, sys, time\n"
        "half = ''.join(f'{number:07} ' for number in range(30_000)) + 'x' * 260_000\n"
        "sys.stdout.write(half)\n"
        "sys.stdout.flush()\n"
        "os.write(2, b'half\\n')\n"
        f"{WAIT_FOR_GO}"
        "sys.stdout.write(half)"
    )
    container_id, workspace = await bench.prepare(bench.spec(program))
    await bench.engine.start(container_id)
    text, cursor = "", LOG_START
    with trio.fail_after(PATIENCE_S):
        # All that the engine tells of it now: whole pieces, and what standard error said later.
        while len(text) < len(half) // PIECE * PIECE + len("half\n"):
            async with bench.engine.follow_logs(container_id, cursor=cursor) as chunks:
                chunk = await anext(chunks)
                text += chunk.text
                cursor = chunk.cursor
        (workspace.inputs / "go").touch()
        async with bench.engine.follow_logs(container_id, cursor=cursor) as chunks:
            async for chunk in chunks:
                text += chunk.text
    line = text.replace("half\n", "")
    assert text.count("half\n") == 1
    assert hashlib.sha256(line.encode()).digest() == hashlib.sha256((half * 2).encode()).digest()


async def test_nothing_is_lost_or_told_twice_when_the_engine_takes_a_new_file(bench: Bench) -> None:
    # 14 MB in equal pieces, so slow that the reader comes to the end of the new file while its
    # first line is being written: the engine (20.10) then reads that file from the start again.
    program = (
        "import sys, time\n"
        "for _ in range(140):\n"
        "    for part in ('x' * 50_000, 'x' * 49_999 + '\\n'):\n"
        "        sys.stdout.write(part)\n"
        "        sys.stdout.flush()\n"
        "        time.sleep(0.003)"
    )
    ran = await bench.run(program)
    assert [len(line) for line in ran.log.splitlines()] == [99_999] * 140
    assert len(ran.log) == 14_000_000


async def test_what_was_printed_first_and_last_arrives_however_much_there_is(bench: Bench) -> None:
    # 25 MB, of which the engine keeps the last 8 to 16 MiB. It prints them when it is followed.
    program = (
        "import os, time\n"
        "print('ready', flush=True)\n"
        f"{WAIT_FOR_GO}"
        "for i in range(25_000): print('x' * 1000, i)\n"
        "print('the end')"
    )
    container_id, workspace = await bench.prepare(bench.spec(program))
    await bench.engine.start(container_id)
    text = ""
    async with bench.engine.follow_logs(container_id) as chunks:
        async for chunk in chunks:
            text += chunk.text
            (workspace.inputs / "go").touch()
    lines = text.splitlines()
    assert lines[0] == "ready"
    assert lines[-1] == "the end"
    # The middle may be missing; nothing comes twice or out of order.
    numbers = [int(line.split()[1]) for line in lines[1:-1]]
    assert numbers == sorted(set(numbers))
    assert numbers[0] == 0
    assert numbers[-1] == 24_999


async def test_the_log_of_a_container_that_is_gone(bench: Bench) -> None:
    async with bench.engine.follow_logs("0" * 64) as chunks:
        with pytest.raises(ContainerGone):
            await anext(chunks)
