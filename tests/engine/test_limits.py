"""A job that takes more than it was given: what happens to it, and that nobody else notices."""

import json
from pathlib import Path

import docker
import pytest
import trio

from engine.bench import MIB, PATIENCE_S, Bench
from neurogrid_marketplace.faults import Outcome
from neurogrid_node.container import cgroup_use

pytestmark = pytest.mark.engine

ALLOCATE = "x = []\nwhile True: x.append(bytearray(8 << 20))"


async def test_too_much_memory_ends_the_job(bench: Bench) -> None:
    ran = await bench.run(ALLOCATE, memory_bytes=64 * MIB)
    assert ran.ended.oom_killed
    assert ran.verdict.outcome is Outcome.MEMORY_EXCEEDED


async def test_a_job_that_survives_its_childs_end_by_memory_has_completed(bench: Bench) -> None:
    program = f"import subprocess, sys\nsubprocess.run([sys.executable, '-c', {ALLOCATE!r}])"
    ran = await bench.run(program, memory_bytes=64 * MIB)
    assert ran.verdict.outcome is Outcome.COMPLETED


async def test_memory_filesystems_count_as_memory(bench: Bench) -> None:
    program = (
        "import os\n"
        "def fill(path):\n"
        "    try:\n"
        "        with open(path, 'wb') as f:\n"
        "            while True: f.write(bytes(1 << 20))\n"
        "    except OSError as error:\n"
        "        return os.stat(path).st_size >> 20, error.strerror\n"
        "print(fill('/tmp/x'))"
    )
    ran = await bench.run(program, memory_bytes=64 * MIB)
    assert ran.log == "(16, 'No space left on device')\n"


async def test_a_fork_bomb_stays_in_its_box(bench: Bench) -> None:
    program = (
        "import os, time\n"
        "made = 0\n"
        "try:\n"
        "    while True:\n"
        "        if os.fork() == 0:\n"
        "            time.sleep(30)\n"
        "            os._exit(0)\n"
        "        made += 1\n"
        "except OSError as error:\n"
        "    print(made, error.strerror)\n"
        "    os._exit(1)"
    )
    ran = await bench.run(program, pids=32)
    assert ran.log == "30 Resource temporarily unavailable\n", "init and the job make 32"
    assert ran.ended.code == 1


async def test_usage_shows_processes_memory_and_time(bench: Bench) -> None:
    program = (
        "import threading, time\n"
        "x = bytearray(40 << 20)\n"
        "for i in range(len(x) // 4096): x[i * 4096] = 1\n"
        "for _ in range(6): threading.Thread(target=time.sleep, args=(60,)).start()\n"
        "end = time.process_time() + 0.3\n"
        "while time.process_time() < end: pass"
    )
    container_id = await bench.start(program)
    samples = []
    async for usage in bench.engine.follow_usage(container_id):
        samples.append(usage)
        if usage.cpu_ns > 300_000_000:
            await bench.engine.kill(container_id)
    last = samples[-1]
    assert last.pids_peak == 8
    assert 40 * MIB < last.memory_peak_bytes < 128 * MIB
    assert [s.cpu_ns for s in samples] == sorted(s.cpu_ns for s in samples)


async def test_half_a_core_is_half_a_core(bench: Bench) -> None:
    program = (
        "import time\n"
        "end = time.monotonic() + 1\n"
        "begin = time.process_time()\n"
        "while time.monotonic() < end: pass\n"
        "print(time.process_time() - begin)"
    )
    ran = await bench.run(program, cpu_millis=500)
    # The quota is given in periods of 0.1 s, so one more may be used up.
    assert float(ran.log) < 0.65


async def test_the_disk_limit_holds_however_it_is_filled(bench: Bench) -> None:
    program = (
        "import ctypes, errno, json, os\n"
        "libc = ctypes.CDLL(None, use_errno=True)\n"
        "out = {}\n"
        "def attempt(name, action):\n"
        "    try: action()\n"
        "    except OSError as error: out[name] = errno.errorcode[error.errno]\n"
        "def write():\n"
        "    with open('/outputs/big', 'wb') as f:\n"
        "        while True: f.write(bytes(1 << 16))\n"
        "def allocate():\n"
        "    for name in ('a', 'b'):\n"
        "        with open('/outputs/' + name, 'wb') as f:\n"
        "            os.posix_fallocate(f.fileno(), 0, 40 << 20)\n"
        "def many():\n"
        "    for i in range(20000): open(f'/outputs/{i}', 'w').close()\n"
        "attempt('write', write)\n"
        "out['bytes'] = os.stat('/outputs/big').st_size\n"
        "os.unlink('/outputs/big')\n"
        "attempt('allocate', allocate)\n"
        "os.unlink('/outputs/a')\n"
        "os.unlink('/outputs/b')\n"
        "attempt('many', many)\n"
        "out['files'] = len(os.listdir('/outputs'))\n"
        "print(json.dumps(out))\n"
        "raise SystemExit(1)"
    )
    # Less memory than disk: what is written has to leave memory while the job runs.
    ran = await bench.run(program, disk_bytes=48 * MIB, memory_bytes=32 * MIB)
    found = json.loads(ran.log)
    assert found["write"] == found["allocate"] == found["many"] == "ENOSPC"
    assert 48 * MIB <= found["bytes"] < 49 * MIB
    assert found["files"] < 16_384
    assert ran.verdict.outcome is Outcome.DISK_EXCEEDED
    assert bench.workspaces.enforcement == "hard"


async def test_a_job_that_ignores_the_signal_is_killed_at_its_time(bench: Bench) -> None:
    program = (
        "import signal, time\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "print('ready', flush=True)\n"
        "time.sleep(600)"
    )
    container_id = await bench.start(program)
    async with bench.engine.follow_logs(container_id) as chunks:
        async for chunk in chunks:
            assert chunk.text == "ready\n"
            break
    # It would sleep for longer.
    with trio.fail_after(PATIENCE_S):
        await bench.engine.stop(container_id, grace_s=1)
    assert (await bench.engine.wait(container_id)).code == 137


async def test_a_job_that_hears_the_signal_may_finish(bench: Bench) -> None:
    program = (
        "import signal, sys, time\n"
        "signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))\n"
        "print('ready', flush=True)\n"
        "time.sleep(60)"
    )
    container_id = await bench.start(program)
    async with bench.engine.follow_logs(container_id) as chunks:
        async for _ in chunks:
            break
    await bench.engine.stop(container_id, grace_s=5)
    assert (await bench.engine.wait(container_id)).code == 0


async def test_endless_output_costs_a_bounded_file_and_a_bounded_log(bench: Bench) -> None:
    program = "import sys\nfor _ in range(400): sys.stdout.write('x' * 99_999 + '\\n')"
    container_id = await bench.start(program)
    size = 0
    # Less than one file of the engine's, and the slowest reader gets one whole.
    async with bench.engine.follow_logs(container_id, max_bytes=5 * MIB) as chunks:
        async for chunk in chunks:
            size += len(chunk.text)
    assert size == 5 * MIB
    assert chunk.is_truncated
    await bench.engine.wait(container_id)
    api = docker.APIClient()
    log = Path(api.inspect_container(container_id)["LogPath"])
    api.close()
    assert sum(file.stat().st_size for file in log.parent.glob(log.name + "*")) < 17 * MIB


async def test_what_a_job_of_fifty_milliseconds_used_is_known(bench: Bench) -> None:
    """Before a cgroup goes, its last figures are read; the engine has none of a job as short as this."""
    program = (
        "import time\n"
        "x = bytearray(30 << 20)\n"
        "for i in range(0, len(x), 4096): x[i] = 1\n"
        "end = time.process_time() + 0.03\n"
        "while time.process_time() < end: pass"
    )
    for _ in range(5):
        container_id = await bench.start(program)
        view = await bench.engine.inspect(container_id)
        readings = [each async for each in cgroup_use.follow(view.pid, container_id)]
        assert (await bench.engine.wait(container_id)).code == 0
        last = readings[-1]
        assert last.cpu_ns >= 30_000_000
        assert 30 * MIB <= last.memory_peak_bytes <= 128 * MIB
