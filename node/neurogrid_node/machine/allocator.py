"""The C library's allocator, for a program of many threads of which one works at a time."""

import ctypes
from typing import Final

# Of glibc's malloc.h.
_M_ARENA_MAX: Final = -8
# Python's lock lets one thread work; the second is for those that sign or compress beside it.
_ARENAS: Final = 2


def share_arenas() -> bool:
    """Have all threads of this process allocate from the same two arenas; to be called before there are any.

    glibc would give up to eight for each core to threads, and keeps in each what its threads have freed: with the
    threads that jobs come and go with, half a MiB each (measured), on a machine of 64 cores as many as there are threads.

    Returns: whether the C library does it; one that is not glibc has no such arenas.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    return mallopt is not None and mallopt(_M_ARENA_MAX, _ARENAS) == 1
