"""A command whose output nobody reads any more, as after `... | head -1` has seen its line."""

import os
import subprocess
import sys

# What a shell says of a program that SIGPIPE ended.
CLOSED = 141


def run_unread(module: str, *arguments: str) -> tuple[int, str]:
    """Its exit code and what it said of that.

    Args:
        module: of the program, such as "neurogrid_node".
    """
    nobody, output = os.pipe()
    os.close(nobody)
    try:
        ran = subprocess.run(
            [sys.executable, "-m", module, *arguments],
            stdout=output,
            stderr=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
            text=True,
            timeout=120,
            check=False,
        )
    finally:
        os.close(output)
    return ran.returncode, ran.stderr
