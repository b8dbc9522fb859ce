"""Threads share what they free."""

import subprocess
import sys

PROGRAM = """
import ctypes, sys, threading
from neurogrid_node.machine.allocator import share_arenas

if sys.argv[1] == "shared":
    assert share_arenas()
libc = ctypes.CDLL(None)
libc.malloc.restype = libc.fopen.restype = ctypes.c_void_p
all_have = threading.Barrier(13)

def allocate():
    libc.malloc(4096)
    all_have.wait()
    all_have.wait()

threads = [threading.Thread(target=allocate) for _ in range(12)]
for thread in threads:
    thread.start()
all_have.wait()
out = libc.fopen(b"/dev/stdout", b"w")
libc.malloc_info(0, ctypes.c_void_p(out))
libc.fclose(ctypes.c_void_p(out))
all_have.wait()
"""


def arenas(how: str) -> int:
    """What the C library has after twelve threads have allocated."""
    ran = subprocess.run(
        [sys.executable, "-c", PROGRAM, how], capture_output=True, text=True, check=True
    )
    return ran.stdout.count("<heap nr=")


def test_a_dozen_threads_share_two_arenas() -> None:
    assert arenas("alone") > 2
    assert arenas("shared") == 2
