"""Output of a job: at once, in order, once, and without leaving a thread behind."""

import threading

import pytest
import trio

from engine.bench import Bench
from neurogrid_node.container_errors import ContainerGone

pytestmark = pytest.mark.engine

TALKING = (
    "import time\nfor i in range(1000):\n    print('line', i, flush=True)\n    time.sleep(0.02)"
)
SILENT = "import time; time.sleep(60)"


async def test_both_outputs_arrive_and_the_stream_ends_with_the_job(bench: Bench) -> None:
    program = (
        "import os\n"
        "os.write(1, b'out \\xc3\\xa4\\n')\n"
        "os.write(2, b'err \\xff\\n')\n"
        "os.write(1, b'no newline')"
    )
    ran = await bench.run(program)
    assert sorted(ran.log.splitlines()) == ["err \ufffd", "no newline", "out ä"]


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
    text, since_ns = "", 0
    for _ in range(4):
        async with bench.engine.follow_logs(container_id, since_ns=since_ns) as chunks:
            async for chunk in chunks:
                text += chunk.text
                since_ns = chunk.until_ns
                if text.count("\n") % 15 == 0:
                    break
    async with bench.engine.follow_logs(container_id, since_ns=since_ns) as chunks:
        async for chunk in chunks:
            text += chunk.text
    assert text.split() == [str(i) for i in range(60)]


async def test_what_was_printed_last_arrives_however_much_came_before(bench: Bench) -> None:
    # 25 MB in the engine's file, which it rotates at 8 MiB.
    program = "for i in range(25_000): print('x' * 1000, i)\nprint('the end')"
    ran = await bench.run(program)
    assert ran.log.endswith("24999\nthe end\n")
    # The middle may be missing; nothing comes twice or out of order.
    numbers = [int(line.split()[1]) for line in ran.log.splitlines()[:-1]]
    assert numbers == sorted(set(numbers))
    assert numbers[0] == 0


async def test_the_log_of_a_container_that_is_gone(bench: Bench) -> None:
    async with bench.engine.follow_logs("0" * 64) as chunks:
        with pytest.raises(ContainerGone):
            await anext(chunks)
