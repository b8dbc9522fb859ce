"""`exec` and `shell`, of the SDK and of the command line, into a real job; and what a terminal is left like."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import anyio
import pytest

from coordinator.api_world import TASK, World
from coordinator.served import served_in_thread
from engine.job_host import JobHost, job_host
from neurogrid import (
    AsyncClient,
    Client,
    CommandLost,
    ConflictError,
    ConnectionFailed,
    TaskNotFoundError,
)
from neurogrid.cli.terminal import Escapes, handling
from sdk.screens import PATIENCE_S, screen

pytestmark = pytest.mark.engine


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[JobHost]:
    with job_host(tmp_path_factory.mktemp("node")) as made:
        yield made


@dataclass(frozen=True)
class Place:
    """A running task, and who may come into it."""

    client: Client
    network: Path
    task_id: str
    stop: Callable[[], None]

    def command(self, *arguments: str) -> list[str]:
        """The command line's."""
        return [sys.executable, "-m", "neurogrid", *arguments]

    @property
    def environment(self) -> dict[str, str]:
        return {**os.environ, "NEUROGRID_NETWORK": str(self.network), "TERM": "xterm"}

    def run(self, *arguments: str, given: bytes = b"") -> "subprocess.CompletedProcess[bytes]":
        return subprocess.run(
            self.command(*arguments),
            input=given,
            capture_output=True,
            env=self.environment,
            timeout=PATIENCE_S,
            check=False,
        )


@pytest.fixture
def here(host: JobHost, tmp_path: Path) -> Iterator[Place]:
    with served_in_thread(tmp_path / "api", host.open_stream) as api:
        alice = api.run(lambda world: world.customer("alice"))

        async def running(world: World) -> str:
            wanted = {**TASK, "interactive": True, "wait_for_node": True}
            answer = await alice.http.post("/api/v1/tasks", json=wanted)
            task_id: str = answer.json()["data"]["id"]
            task = await world.start(task_id)
            assert task.lease is not None
            host.adopt(task.lease.lease_id)
            return task_id

        task_id = api.run(running)
        network = tmp_path / "network.json"
        network.write_text(json.dumps({"api_url": api.address, "api_key": alice.key, "nodes": []}))
        with Client(network=network) as client:
            yield Place(client, network, task_id, lambda: api.world.stopping.set())


def test_the_sdk_runs_a_command_to_its_end(here: Place) -> None:
    script = "cat; echo problem >&2; exit 3"
    data = os.urandom(1_000_000)
    result = here.client.tasks.exec(here.task_id, ["sh", "-c", script], input=data)
    assert (result.exit_code, result.reason) == (3, "exited")
    assert (result.stdout, result.stderr) == (data, b"problem\n")
    # One that ends without reading what it was given takes nobody along.
    result = here.client.tasks.exec(here.task_id, ["true"], input=data)
    assert (result.exit_code, result.stdout) == (0, b"")


def test_the_sdk_talks_with_a_command_and_closing_ends_it(here: Place) -> None:
    with here.client.tasks.open_exec(here.task_id, ["cat"]) as command:
        command.write(b"one")
        piece = command.read()
        assert piece is not None
        assert (piece.stream, piece.data) == ("stdout", b"one")
        assert command.reason == ""
        command.signal("KILL")
        assert command.read() is None
        assert (command.exit_code, command.reason) == (137, "exited")
    with here.client.tasks.open_exec(here.task_id, ["sleep", "620"]):
        pass
    left = ["sh", "-c", "cat /proc/[0-9]*/cmdline | tr '\\0' ' '; true"]
    deadline = time.monotonic() + PATIENCE_S
    while b"sleep 620" in here.client.tasks.exec(here.task_id, left).stdout:
        assert time.monotonic() < deadline, "it was not ended"


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_loop_talks_with_a_command_and_cancelling_ends_it(here: Place, backend: str) -> None:
    async def story() -> None:
        async with AsyncClient(network=here.network) as client:
            result = await client.tasks.exec(here.task_id, ["sh", "-c", "cat; exit 3"], input=b"x")
            assert (result.exit_code, result.stdout) == (3, b"x")
            async with await client.tasks.open_exec(here.task_id, ["cat"]) as command:
                await command.write(b"one")
                piece = await command.read()
                assert piece is not None
                assert piece.data == b"one"
                # Nothing comes: whoever waits for it may be cancelled.
                with anyio.move_on_after(0.05) as scope:
                    async for _ in command:
                        pass
                assert scope.cancelled_caught

    anyio.run(story, backend=backend)


def test_the_sdk_says_what_is_refused(here: Place, tmp_path: Path) -> None:
    with pytest.raises(TaskNotFoundError):
        here.client.tasks.exec("task_" + "0" * 32, ["true"])
    plain = here.client.tasks.create(docker_image="neurogrid/job:1", max_price_per_hour="1.00")
    assert not plain.interactive
    with pytest.raises(ConflictError, match="without interactive"):
        here.client.tasks.exec(plain.id, ["true"])
    with Client("ng_key", "http://127.0.0.1:9") as nobody, pytest.raises(ConnectionFailed):
        nobody.tasks.exec(here.task_id, ["true"])


def test_a_coordinator_that_stops_is_a_lost_command(here: Place) -> None:
    with here.client.tasks.open_exec(here.task_id, ["cat"]) as command:
        here.stop()
        with pytest.raises(CommandLost):
            command.read()


def test_exec_passes_input_output_errors_and_exit_code_on(here: Place) -> None:

    ran = here.run(
        *("exec", here.task_id, "--", "sh", "-c", "cat; echo wrong >&2; exit 9"),
        given=b"x" * 300_000,
    )
    assert (ran.returncode, ran.stdout, ran.stderr) == (9, b"x" * 300_000, b"wrong\n")
    ran = here.run("exec", "-n", here.task_id, "cat", given=b"not read")
    assert (ran.returncode, ran.stdout) == (0, b"")
    ran = here.run("exec", "--json", here.task_id, "--", "sh", "-c", "cat; exit 2", given=b"in")
    expected = {"exit_code": 2, "reason": "exited", "stdout": "in", "stderr": ""}
    assert (ran.returncode, json.loads(ran.stdout)) == (2, expected)
    ran = here.run("exec", "task_" + "0" * 32, "true")
    assert ran.returncode == 4
    assert b"there is no task" in ran.stderr
    for arguments in (("shell", here.task_id), ("exec", "-t", here.task_id, "sh")):
        assert here.run(*arguments).returncode == 2, "no terminal"


def test_ctrl_c_reaches_a_command_and_typed_twice_ends_it(here: Place) -> None:
    script = "trap 'echo told' INT; echo ready; while :; do sleep 0.05; done"
    command = here.command("exec", "-n", here.task_id, "--", "sh", "-c", script)
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=here.environment
    ) as ran:
        assert ran.stdout is not None
        assert ran.stdout.readline() == b"ready\n"
        ran.send_signal(signal.SIGINT)
        assert ran.stdout.readline() == b"told\n"
        ran.send_signal(signal.SIGINT)
        _, errors = ran.communicate(timeout=PATIENCE_S)
        assert ran.returncode == 130
        assert b"the command was ended" in errors


def test_ctrl_c_reaches_a_command_that_takes_no_input(here: Place) -> None:
    """Who sends it waits for room meanwhile."""
    command = here.command("exec", here.task_id, "--", "sh", "-c", "echo ready; exec sleep 640")
    with (
        open("/dev/zero", "rb") as endless,
        subprocess.Popen(
            command,
            stdin=endless,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=here.environment,
        ) as ran,
    ):
        assert ran.stdout is not None
        assert ran.stdout.readline() == b"ready\n"
        time.sleep(0.5)
        ran.send_signal(signal.SIGINT)
        try:
            assert ran.wait(PATIENCE_S) == 130
        finally:
            ran.kill()


def test_a_signal_is_handled_whichever_thread_the_kernel_gives_it_to() -> None:
    handled = threading.Event()

    def take() -> None:
        time.sleep(0.2)  # the main thread waits by now, and is not woken
        signal.pthread_kill(threading.get_ident(), signal.SIGUSR1)

    with handling({signal.SIGUSR1: handled.set}):
        other = threading.Thread(target=take)
        other.start()
        assert handled.wait(PATIENCE_S)
        other.join()
    assert signal.getsignal(signal.SIGUSR1) == signal.SIG_DFL


def test_a_shell_has_size_resize_ctrl_c_and_exit_code(here: Place) -> None:
    with screen(here.command("shell", here.task_id), here.environment) as shown:
        shown.until(b"$ ")
        shown.type(b"stty size; echo $TERM\r")
        shown.until(b"24 80")
        shown.until(b"xterm")
        shown.resize(40, 100)
        shown.type(b"while [ \"$(stty size)\" != '40 100' ]; do sleep 0.05; done; echo re''sized\r")
        shown.until(b"resized")
        # What says so has the terminal already; its shell would not pass a Ctrl-C on that came before.
        shown.type(b"sh -c \"echo be''gins; exec sleep 600\"; echo st''opped\r")
        shown.until(b"begins")
        shown.type(b"\x03")
        shown.until(b"$ ")
        shown.type(b"echo go''es on; exit 6\r")
        shown.until(b"goes on")
        assert shown.child.wait(PATIENCE_S) == 6


def test_a_person_leaves_a_shell_that_hangs(here: Place) -> None:
    with screen(
        here.command("shell", here.task_id, "--", "sh", "-c", "echo up; sleep 630"),
        here.environment,
    ) as shown:
        shown.until(b"up")
        shown.type(b"\r~.")
        shown.until(b"the command was ended")
        assert shown.child.wait(PATIENCE_S) == 130


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_shell_that_is_told_to_end_puts_the_terminal_back(
    here: Place, number: signal.Signals
) -> None:
    with screen(here.command("shell", here.task_id), here.environment) as shown:
        shown.until(b"$ ")
        shown.child.send_signal(number)
        assert shown.child.wait(PATIENCE_S) == 128 + number


def test_a_coordinator_that_stops_puts_the_terminal_back(here: Place) -> None:
    with screen(here.command("shell", here.task_id), here.environment) as shown:
        shown.until(b"$ ")
        here.stop()
        shown.until(b"the connection broke")
        assert shown.child.wait(PATIENCE_S) == 7


@pytest.mark.parametrize(
    ("typed", "meant", "left"),
    [
        (b"ls\r", b"ls\r", False),
        (b"~.", b"", True),
        (b"ls\r~.more", b"ls\r", True),
        (b"ls ~.", b"ls ~.", False),
        (b"~~.", b"~.", False),
        (b"~x~.", b"~x~.", False),
        (b"\n~~\n~.", b"\n~\n", True),
    ],
)
def test_escapes(typed: bytes, meant: bytes, left: bool) -> None:
    whole = Escapes()
    assert (whole.feed(typed), whole.left) == (meant, left)
    bit_by_bit = Escapes()
    said = b""
    for key in typed:
        if not bit_by_bit.left:
            said += bit_by_bit.feed(bytes([key]))
    assert (said, bit_by_bit.left) == (meant, left)
