"""Whether the node takes new work, in a line."""

import time
from typing import Any

from ..market.intake import Mode
from ..money.readable import counted


def standing(word: dict[str, Any], no_new_work: str, leases: int) -> str:
    """``paused since … until …; 2 jobs run on``.

    Args:
        word: an `intake.Word` as JSON; no_new_work: as in the status file; leases: how many there are.
    """
    if not no_new_work:
        return "accepting work"
    if word["mode"] != no_new_work:
        # The stake, or the end of the daemon.
        return f"not accepting work: {no_new_work}"
    since = f"since {_moment(word['since_ms'])}"
    if word["mode"] == Mode.DRAINING:
        then = ", then it ends" if word["exits"] else ""
        left = f"{counted(leases, 'job')} left{then}" if leases else "drained, no job is left"
        return f"draining {since}: {left}"
    until = f" until {_moment(word['until_ms'])}" if word["until_ms"] else ""
    return f"paused {since}{until}; {counted(leases, 'job')} running"


def _moment(at_ms: int) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at_ms / 1000))
