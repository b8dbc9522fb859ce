"""The supervisor starts again what dies, leaves dead what is lost, and stops all."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import trio

from neurogrid_devnet.errors import StartFailed
from neurogrid_devnet.layout import Layout
from neurogrid_devnet.log_files import tail
from neurogrid_devnet.processes import identify, is_alive, kill
from neurogrid_devnet.state_file import Phase, read_state
from neurogrid_devnet.supervisor import Service, Supervisor


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    made = Layout(tmp_path)
    made.make_folders()
    return made


def service(layout: Layout, name: str, code: str, **options: Callable[[], bool]) -> Service:
    return Service(name, (sys.executable, "-c", code), layout.log(name), **options)


def sleeper(layout: Layout, name: str = "a", **options: Callable[[], bool]) -> Service:
    return Service(name, ("sleep", "60"), layout.log(name), **options)


async def until(condition: Callable[[], bool]) -> None:
    with trio.fail_after(60):
        while not condition():  # noqa: ASYNC110 - processes end without telling us
            await trio.sleep(0.01)


async def test_what_is_killed_is_started_again_under_another_number(layout: Layout) -> None:
    told: list[str] = []
    async with trio.open_nursery() as nursery:
        supervisor = Supervisor(layout, nursery, told.append)
        supervisor.start(sleeper(layout))
        supervisor.enter(Phase.READY)
        await until(lambda: supervisor.pid("a") != 0)
        first = identify(supervisor.pid("a"))
        assert first is not None
        kill([first])
        await until(lambda: supervisor.pid("a") not in (0, first.pid))
        state = read_state(layout.state)
        assert state is not None
        assert state.processes["a"].process.pid == supervisor.pid("a")
        assert state.processes["a"].exits == 1
        assert told == ["a ended (SIGKILL)"]
        await supervisor.stop(["a"])
        assert not is_alive(first)
        assert supervisor.pid("a") == 0
        nursery.cancel_scope.cancel()


async def test_what_may_not_run_is_left_dead_until_it_may(layout: Layout, tmp_path: Path) -> None:
    mark = tmp_path / "lost"
    async with trio.open_nursery() as nursery:
        supervisor = Supervisor(layout, nursery, lambda line: None)
        supervisor.enter(Phase.READY)
        supervisor.start(sleeper(layout, may_run=lambda: not mark.exists()))
        await until(lambda: supervisor.pid("a") != 0)
        mark.touch()
        first = identify(supervisor.pid("a"))
        assert first is not None
        kill([first])
        await until(lambda: supervisor.pid("a") == 0)
        await trio.sleep(0.5)
        assert supervisor.pid("a") == 0
        mark.unlink()
        await until(lambda: supervisor.pid("a") != 0)
        await supervisor.stop(["a"])
        nursery.cancel_scope.cancel()


async def test_what_never_comes_up_fails_the_start_with_the_end_of_its_log(layout: Layout) -> None:
    async def run() -> None:
        async with trio.open_nursery() as nursery:
            supervisor = Supervisor(layout, nursery, lambda line: None)
            supervisor.start(service(layout, "a", "print('no such coin'); raise SystemExit(7)"))
            await trio.sleep(120)

    with pytest.raises(ExceptionGroup) as caught:
        await run()
    (error,) = caught.value.exceptions
    assert isinstance(error, StartFailed)
    assert "exit status 7" in str(error)
    assert "no such coin" in str(error)


async def test_output_and_errors_go_to_the_log(layout: Layout) -> None:
    async with trio.open_nursery() as nursery:
        supervisor = Supervisor(layout, nursery, lambda line: None)
        supervisor.enter(Phase.READY)
        code = "import sys; print('out'); sys.stdout.flush(); print('err', file=sys.stderr)"
        supervisor.start(service(layout, "a", code + "; sys.stdout.flush(); input()"))
        await until(lambda: "err" in tail(layout.log("a"), 5))
        assert tail(layout.log("a"), 2) != []
        await supervisor.stop(["a"])
        nursery.cancel_scope.cancel()


async def test_one_that_ignores_sigterm_is_killed_in_the_end(
    layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("neurogrid_devnet.supervisor._STOP_GRACE_S", 0.1)
    async with trio.open_nursery() as nursery:
        supervisor = Supervisor(layout, nursery, lambda line: None)
        code = "import signal, time; signal.signal(15, 1); print('up', flush=True); time.sleep(60)"
        supervisor.start(service(layout, "a", code))
        await until(lambda: tail(layout.log("a"), 1) == ["up"])
        process = identify(supervisor.pid("a"))
        assert process is not None
        await supervisor.stop(["a"])
        assert not is_alive(process)
        nursery.cancel_scope.cancel()


async def test_cancelling_ends_every_process(layout: Layout) -> None:
    async with trio.open_nursery() as nursery:
        supervisor = Supervisor(layout, nursery, lambda line: None)
        supervisor.start(sleeper(layout, "a"))
        supervisor.start(sleeper(layout, "b"))
        await until(lambda: supervisor.pid("a") != 0 and supervisor.pid("b") != 0)
        processes = [identify(supervisor.pid(name)) for name in ("a", "b")]
        nursery.cancel_scope.cancel()
    assert not any(process is not None and is_alive(process) for process in processes)
