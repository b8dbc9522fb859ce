"""Children that must not outlive their parent."""

import ctypes
import logging
import os
import signal
import sys

# PR_SET_PDEATHSIG of <sys/prctl.h>.
_SET_PARENT_DEATH_SIGNAL = 1

_log = logging.getLogger(__name__)


def die_with(parent_pid: int) -> None:
    """Have the kernel kill us when the parent dies, whatever we are doing then.

    On Linux alone, and strictly when the thread dies that started us; elsewhere the end of a pipe has to do.
    """
    if sys.platform != "linux":
        return
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_SET_PARENT_DEATH_SIGNAL, signal.SIGKILL) != 0:
        _log.warning("prctl: %s", os.strerror(ctypes.get_errno()))
    if os.getppid() != parent_pid:
        os._exit(0)  # it died before we asked
