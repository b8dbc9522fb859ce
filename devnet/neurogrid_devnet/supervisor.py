"""Keeps the devnet's processes running, as systemd would: what dies is started again, after a pause.

A process in its own session, with its log file for output, does not notice whether its supervisor
lives. What is needed to find it again stands in state.json.
"""

import logging
import os
import signal
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import trio

from .errors import StartFailed
from .layout import SUPERVISOR, Layout
from .log_files import bound_log, open_log, tail
from .processes import ProcessId, identify
from .state_file import Phase, Running, State, write_state

_log = logging.getLogger(__name__)

# The pause before a restart: short, because what was killed shall be back soon; growing, because
# what cannot run would otherwise use the whole machine. Forgotten after a while of running well.
_PAUSE_FIRST_S = 0.1
_PAUSE_MAX_S = 5.0
_STEADY_S = 15.0
# A process that ends so often before the devnet is ready will never come up.
_START_EXITS_MAX = 3
_STOP_GRACE_S = 6.0
_LOG_CHECK_INTERVAL_S = 5.0
_ALLOWED_INTERVAL_S = 0.2
_LOG_LINES_SHOWN = 15


@dataclass(frozen=True, slots=True)
class Service:
    """A process to keep running.

    Attributes:
        name: of its log and in state.json.
        may_run: asked before each start; while it says no, the process is left dead.
    """

    name: str
    command: Sequence[str]
    log: Path
    may_run: Callable[[], bool] = lambda: True


@dataclass(slots=True)
class _Kept:
    """A service and what became of it."""

    service: Service
    scope: trio.CancelScope = field(default_factory=trio.CancelScope)
    ended: trio.Event = field(default_factory=trio.Event)
    process: ProcessId | None = None
    exits: int = 0


class Supervisor:
    """The processes of one devnet. Its nursery is the caller's."""

    def __init__(self, layout: Layout, nursery: trio.Nursery, tell: Callable[[str], None]) -> None:
        """
        Args:
            tell: shows a line to whoever watches.
        """
        self._layout = layout
        self._nursery = nursery
        self._tell = tell
        self._kept: dict[str, _Kept] = {}
        self._phase = Phase.STARTING
        self._message = ""
        me = identify(os.getpid())
        assert me is not None, "we are running"
        self._me = me
        self._show()
        nursery.start_soon(self._bound_logs)

    def start(self, service: Service) -> None:
        """Start a process, and again whenever it ends."""
        kept = self._kept[service.name] = _Kept(service)
        self._nursery.start_soon(self._keep, kept)

    def pid(self, name: str) -> int:
        """The process's number, 0 while it is not running."""
        kept = self._kept.get(name)
        return kept.process.pid if kept is not None and kept.process is not None else 0

    def say(self, message: str) -> None:
        """Say what is being done, to whoever watches and in state.json."""
        self._tell(message)
        self.enter(self._phase, message)

    def enter(self, phase: Phase, message: str = "") -> None:
        """Say how far the devnet is."""
        self._phase, self._message = phase, message
        self._show()

    async def stop(self, names: Sequence[str]) -> None:
        """Stop these at once and for good; returns when they are gone."""
        kept = [self._kept[name] for name in names if name in self._kept]
        for one in kept:
            one.scope.cancel()
        for one in kept:
            await one.ended.wait()

    async def _keep(self, kept: _Kept) -> None:
        pause_s = _PAUSE_FIRST_S
        try:
            with kept.scope:
                while True:
                    if not kept.service.may_run():
                        await trio.sleep(_ALLOWED_INTERVAL_S)
                        continue
                    began_s = trio.current_time()
                    status = await self._run_once(kept)
                    kept.exits += 1
                    self._show()
                    self._report_end(kept, status)
                    if trio.current_time() - began_s > _STEADY_S:
                        pause_s = _PAUSE_FIRST_S
                    await trio.sleep(pause_s)
                    pause_s = min(pause_s * 2, _PAUSE_MAX_S)
        finally:
            kept.ended.set()

    async def _run_once(self, kept: _Kept) -> int:
        """Start it and wait for its end; a cancelled wait stops it first."""
        output = open_log(kept.service.log)
        try:
            process = await trio.lowlevel.open_process(
                list(kept.service.command),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                # Not ours: Ctrl-C at our terminal is our business.
                start_new_session=True,
            )
        finally:
            os.close(output)
        kept.process = identify(process.pid)
        self._show()
        try:
            return await process.wait()
        finally:
            with trio.CancelScope(shield=True):
                await _end(process)
            kept.process = None

    def _report_end(self, kept: _Kept, status: int) -> None:
        how = signal.Signals(-status).name if status < 0 else f"exit status {status}"
        if self._phase is Phase.STARTING and kept.exits >= _START_EXITS_MAX:
            lines = "\n".join(tail(kept.service.log, _LOG_LINES_SHOWN))
            raise StartFailed(
                f"{kept.service.name} ended {kept.exits} times ({how}) instead of starting; "
                f"the end of {kept.service.log}:\n{lines}"
            )
        _log.info("%s ended: %s", kept.service.name, how)
        self._tell(f"{kept.service.name} ended ({how})")

    async def _bound_logs(self) -> None:
        while True:
            await trio.sleep(_LOG_CHECK_INTERVAL_S)
            logs = [kept.service.log for kept in self._kept.values()]
            for log in (*logs, self._layout.log(SUPERVISOR)):
                await trio.to_thread.run_sync(bound_log, log)

    def _show(self) -> None:
        processes = {
            name: Running(kept.process, kept.exits)
            for name, kept in self._kept.items()
            if kept.process is not None
        }
        write_state(self._layout.state, State(self._me, self._phase, self._message, processes))


async def _end(process: trio.Process) -> None:
    if process.returncode is not None:
        return
    process.terminate()
    with trio.move_on_after(_STOP_GRACE_S):
        await process.wait()
        return
    process.kill()
    await process.wait()
