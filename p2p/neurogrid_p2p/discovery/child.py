"""The discovery process as its parent sees it: started, told, heard, and started again when it dies."""

import logging
import os
import random
import subprocess
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace

import trio

from neurogrid_marketplace.errors import MalformedMessage

from .lines import Carry, Line, Lines, Ready, Report, to_line
from .settings import Settings

# Importing libp2p takes 2 s on a free core, and several times that when every core is busy.
START_LIMIT_S = 60.0
# It says every few seconds that it lives.
SILENCE_LIMIT_S = 60.0
# After a process that has ended; doubled each time up to the second, until one lives for that long.
RESTART_FIRST_S = 1.0
RESTART_MAX_S = 60.0
_EXIT_LIMIT_S = 2.0
_LOOK_S = 0.02

_log = logging.getLogger(__name__)


class Discovery:
    """Keeps a discovery process running, as long as `run` runs.

    Args:
        heard: called with each thing that it reports, in order.

    Attributes:
        pid: of the process; None while there is none.
    """

    def __init__(self, settings: Settings, heard: Callable[[Report], Awaitable[None]]) -> None:
        self.pid: int | None = None
        self._settings = settings
        self._heard = heard
        self._carry = Carry(())
        self._orders: trio.abc.SendStream | None = None

    async def carry(self, carry: Carry) -> None:
        """Have it hand out these adverts, now and whenever it is started again."""
        self._carry = carry
        if self._orders is not None:
            # Whoever reads its reports hears that it is gone.
            with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
                await self._orders.send_all(to_line(carry))

    async def run(self) -> None:
        """Run it for ever."""
        pause_s = RESTART_FIRST_S
        while True:
            began_s = trio.current_time()
            reason = await self._once()
            if trio.current_time() - began_s > RESTART_MAX_S:
                pause_s = RESTART_FIRST_S
            _log.warning("discovery: %s; starting it again", reason)
            await trio.sleep(random.uniform(pause_s / 2, pause_s))
            pause_s = min(2 * pause_s, RESTART_MAX_S)

    async def _once(self) -> str:
        """One process from start to end; returns why it ended."""
        settings = replace(self._settings, parent_pid=os.getpid())
        try:
            # Not trio's own: it would start it in a thread that ends, and the kernel, told to, the process
            # with it.
            process = subprocess.Popen(  # noqa: ASYNC220 - it takes milliseconds
                [sys.executable, "-m", __package__], stdin=subprocess.PIPE, stdout=subprocess.PIPE
            )
        except OSError as error:
            return f"it cannot be started ({error})"
        assert process.stdin is not None, "asked for"
        assert process.stdout is not None, "asked for"
        orders = trio.lowlevel.FdStream(os.dup(process.stdin.fileno()))
        reports = trio.lowlevel.FdStream(os.dup(process.stdout.fileno()))
        process.stdin.close()
        process.stdout.close()
        self.pid = process.pid
        try:
            async with orders, reports:
                return await self._talk(settings, orders, reports)
        finally:
            self.pid = self._orders = None
            with trio.CancelScope(shield=True):
                await _end(process)

    async def _talk(
        self, settings: Settings, orders: trio.abc.SendStream, reports: trio.abc.ReceiveStream
    ) -> str:
        lines = Lines(reports)
        try:
            await orders.send_all(to_line(settings))
            with trio.fail_after(START_LIMIT_S):
                ready = await lines.next()
            if ready is not None and not isinstance(ready, Ready):
                return "it does not say that it is ready"
            self._orders = orders
            await orders.send_all(to_line(self._carry))
            report: Line | None = ready
            while report is not None:
                if isinstance(report, Report):
                    await self._heard(report)
                with trio.fail_after(SILENCE_LIMIT_S):
                    report = await lines.next()
        except MalformedMessage as error:
            return f"it says what nobody understands ({error})"
        except trio.TooSlowError:
            return "it is stuck"
        except trio.BrokenResourceError:
            pass
        return "it has ended; its log says why"


async def _end(process: "subprocess.Popen[bytes]") -> None:
    """It ends by itself when its pipe does; one that is stuck is killed."""
    with trio.move_on_after(_EXIT_LIMIT_S):
        while process.poll() is None:  # noqa: ASYNC110 - nothing tells of a process's end everywhere
            await trio.sleep(_LOOK_S)
        return
    process.kill()
    process.wait()
