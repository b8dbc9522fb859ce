"""The end of the daemon: on a signal, on the owner's word, or when it has drained. Its jobs run on."""

import logging
import signal
from collections.abc import Awaitable, Callable
from typing import Final

import trio

from neurogrid_telemetry.log_lines import named

from .log_events import NodeEvent

_log = logging.getLogger(__name__)

SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)


async def end_when_asked(
    asked: trio.Event,
    goodbye: Callable[[], Awaitable[None]],
    scope: trio.CancelScope,
    *,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Wait for SIGTERM, SIGINT or ``asked``, say goodbye, and cancel ``scope``.

    From the first of these on, either signal ends the process at once, as kill -9 would: nothing is lost
    by that, and an owner who presses Ctrl-C again means it.

    Args:
        goodbye: takes a few seconds at most.
    """
    async with trio.open_nursery() as nursery:
        await nursery.start(_follow_signals, asked)
        task_status.started()
        await asked.wait()
        nursery.cancel_scope.cancel()
    for number in SIGNALS:
        signal.signal(number, signal.SIG_DFL)
    _log.info("stopping; jobs run on", extra=named(NodeEvent.STOPPING))
    await goodbye()
    scope.cancel()


async def _follow_signals(asked: trio.Event, task_status: trio.TaskStatus[None]) -> None:
    with trio.open_signal_receiver(*SIGNALS) as signals:
        task_status.started()
        async for number in signals:
            _log.info("asked to end by %s", signal.Signals(number).name)
            asked.set()
            return
