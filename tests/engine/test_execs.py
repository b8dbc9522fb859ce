"""Commands beside a job, on the real engine: what they get, and that they end."""

import json
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio

from engine.bench import PATIENCE_S, Bench
from neurogrid_node.container import processes
from neurogrid_node.container.errors import ContainerGone, EngineConflict
from neurogrid_node.container.execs import MARK, ExecSpec, RunningExec

pytestmark = pytest.mark.engine

SLEEPS = "import time; time.sleep(600)"
INSIDE = Path(__file__).with_name("inside.py").read_text()


@asynccontextmanager
async def running(bench: Bench, *command: str, tty: bool = False) -> AsyncIterator[RunningExec]:
    """A command beside a job that sleeps."""
    container_id = await bench.start(SLEEPS)
    with trio.fail_after(PATIENCE_S):
        async with bench.engine.execs.run(container_id, ExecSpec(command, tty)) as command_:
            yield command_


async def said(command: RunningExec) -> tuple[bytes, bytes]:
    """All its output and all its errors."""
    found = {False: b"", True: b""}
    while (piece := await command.read()) is not None:
        found[piece.is_error] += piece.data
    return found[False], found[True]


async def until_said(command: RunningExec, words: bytes) -> bytes:
    text = b""
    while (piece := await command.read()) is not None:
        text += piece.data
        if words in text:
            return text
    raise AssertionError(f"it ended, and said only {text!r}")


async def until(condition: Callable[[], bool]) -> None:
    with trio.fail_after(PATIENCE_S):
        while not condition():  # noqa: ASYNC110 - the kernel has no event for it
            await trio.sleep(0.02)


def in_container(container_id: str) -> set[str]:
    """Names of the programs that run in a container."""
    names = set()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and processes.is_inside(int(entry.name), container_id):
            try:
                names.add((entry / "cmdline").read_bytes().replace(b"\0", b" ").decode().strip())
            except OSError:
                continue
    return names


async def test_output_errors_input_and_exit_code_are_the_commands_own(bench: Bench) -> None:
    async with running(bench, "sh", "-c", "echo out; echo err >&2; cat; exit 7") as command:
        await command.write(b"typed\n")
        await command.end_input()
        assert await said(command) == (b"out\ntyped\n", b"err\n")
        assert await command.exit_code() == 7


async def test_nothing_of_a_command_that_answers_at_once_is_lost(bench: Bench) -> None:
    container_id = await bench.start(SLEEPS)
    for _ in range(5):
        async with bench.engine.execs.run(container_id, ExecSpec(("echo", "x" * 3000))) as command:
            assert await said(command) == (b"x" * 3000 + b"\n", b"")
            assert await command.exit_code() == 0


async def test_megabytes_pass_both_ways_at_once(bench: Bench) -> None:
    data = bytes(range(256)) * 8192
    async with running(bench, "cat") as command, trio.open_nursery() as nursery:

        async def give() -> None:
            await command.write(data)
            await command.end_input()

        nursery.start_soon(give)
        out, errors = await said(command)
        assert (out == data, errors) == (True, b"")


async def test_a_command_that_is_not_there_is_exit_code_126_or_127(bench: Bench) -> None:
    async with running(bench, "/no/such/program") as command:
        out, errors = await said(command)
        assert b"no such file or directory" in out + errors
        assert await command.exit_code() in (126, 127)


async def test_a_command_is_in_the_jobs_sandbox(bench: Bench) -> None:
    async with running(bench, "python3", "-c", INSIDE, "1") as command:
        out, errors = await said(command)
        assert errors == b""
        facts = json.loads(out)
    assert facts["uid"] == [65534] * 3
    assert facts["gid"] == [65534] * 3
    assert set(facts["capabilities"].values()) == {0}
    assert facts["no_new_privileges"] == "1"
    assert facts["seccomp"] == "2"
    assert {name for name, result in facts["refused"].items() if result != "EPERM"} == set()
    assert facts["clone_user_namespace"] == facts["clone_network_namespace"] == "EPERM"
    assert facts["interfaces"] == ["lo"]
    assert facts["write"]["/etc/x"] == "EROFS"
    assert facts["limits"]["Max core file size"] == "0"
    assert facts["environment"][MARK] == "1"
    assert facts["environment"]["NVIDIA_VISIBLE_DEVICES"] == "void"


async def test_a_terminal_has_its_size_and_its_ctrl_c(bench: Bench) -> None:
    container_id = await bench.start(SLEEPS)
    spec = ExecSpec(("sh",), tty=True, columns=91, rows=33, term="xterm")
    with trio.fail_after(PATIENCE_S):
        async with bench.engine.execs.run(container_id, spec) as command:
            await until_said(command, b"$ ")
            await command.write(b"stty size; echo $TERM\n")
            text = await until_said(command, b"xterm\r\n")
            assert b"33 91\r\n" in text
            await command.resize(120, 50)
            await command.write(b"stty size\n")
            await until_said(command, b"50 120\r\n")
            # The shell's child is what it reaches.
            await command.write(b"sh -c \"echo begin''s; exec sleep 600\"; echo st''opped\n")
            await until_said(command, b"begins\r\n")
            # With it goes what was typed and not read.
            await command.write(b"\x03")
            await until_said(command, b"$ ")
            await command.write(b"echo go''es on; exit 5\n")
            await until_said(command, b"goes on\r\n")
            await said(command)
            assert await command.exit_code() == 5


async def test_a_signal_reaches_a_command_without_a_terminal(bench: Bench) -> None:
    script = "trap 'echo told; exit 9' INT; echo ready; while :; do sleep 0.1; done"
    async with running(bench, "sh", "-c", script) as command:
        await until_said(command, b"ready\n")
        await command.signal(signal.SIGINT)
        assert await said(command) == (b"told\n", b"")
        assert await command.exit_code() == 9


@pytest.mark.parametrize("tty", [False, True])
async def test_leaving_ends_a_command_with_all_it_has_started(bench: Bench, tty: bool) -> None:
    container_id = await bench.start(SLEEPS)
    # Deaf to the hang-up, and with children in the background and in a group of their own.
    script = "trap '' HUP TERM INT; set -m; sleep 601 & sleep 602 & echo ready; sleep 603"
    with trio.fail_after(PATIENCE_S):
        spec = ExecSpec(("sh", "-c", script), tty)
        async with bench.engine.execs.run(container_id, spec) as command:
            await until_said(command, b"ready")
            await until(lambda: {"sleep 601", "sleep 602"} <= in_container(container_id))
    await until(lambda: not any("sleep 60" in name for name in in_container(container_id)))
    assert (await bench.engine.inspect(container_id)).ended is None, "the job runs on"


async def test_what_a_command_has_left_behind_stays_when_it_ends_by_itself(bench: Bench) -> None:
    container_id = await bench.start(SLEEPS)
    with trio.fail_after(PATIENCE_S):
        spec = ExecSpec(("sh", "-c", "sleep 604 > /dev/null 2>&1 & exit 0"))
        async with bench.engine.execs.run(container_id, spec) as command:
            await said(command)
            assert await command.exit_code() == 0
    await until(lambda: "sleep 604" in in_container(container_id))


async def test_a_command_ends_with_its_container(bench: Bench) -> None:
    container_id = await bench.start(SLEEPS)
    with trio.fail_after(PATIENCE_S):
        async with bench.engine.execs.run(container_id, ExecSpec(("sleep", "605"))) as command:
            await until(lambda: "sleep 605" in in_container(container_id))
            await bench.engine.kill(container_id)
            assert await said(command) == (b"", b"")
            assert await command.exit_code() == 137
    assert in_container(container_id) == set()


async def test_paused_ended_and_removed_containers_take_no_commands(bench: Bench) -> None:
    container_id = await bench.start(SLEEPS)
    await bench.engine.pause(container_id)
    with pytest.raises(EngineConflict):
        async with bench.engine.execs.run(container_id, ExecSpec(("true",))):
            pass
    await bench.engine.unpause(container_id)
    await bench.engine.kill(container_id)
    with pytest.raises(EngineConflict):
        async with bench.engine.execs.run(container_id, ExecSpec(("true",))):
            pass
    await bench.engine.remove(container_id)
    with pytest.raises(ContainerGone):
        async with bench.engine.execs.run(container_id, ExecSpec(("true",))):
            pass


async def test_a_restarted_daemon_ends_what_it_had_started_and_nothing_else(bench: Bench) -> None:
    container_id = await bench.start(SLEEPS)
    client = bench.engine.execs._client
    for mark, seconds in (({MARK: "1"}, "606"), ({}, "607")):
        made = client.api.exec_create(container_id, ["sleep", seconds], environment=mark)
        client.api.exec_start(made["Id"], detach=True)
    await until(lambda: {"sleep 606", "sleep 607"} <= in_container(container_id))
    assert await bench.engine.execs.end_left(container_id) == 1
    await until(lambda: "sleep 606" not in in_container(container_id))
    assert "sleep 607" in in_container(container_id), "its owner's"
    assert await bench.engine.execs.end_left(container_id) == 0
    await bench.engine.remove(container_id)
    assert await bench.engine.execs.end_left(container_id) == 0
