"""A command at a terminal of its own, and somebody who types."""

import os
import pty
import re
import select
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import Self

# Only ends what hangs: how long a command takes is the machine's affair.
_PATIENCE_S = 300.0

# getpass speaks to the terminal that controls the process, so it has to have one.
_TAKE_TERMINAL = (
    "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0);"
    " os.execv(sys.argv[1], sys.argv[1:])"
)


class Terminal:
    """Standard input and error are the terminal; standard output is a pipe, as for a program.

    Attributes:
        screen: everything that was shown so far.
    """

    def __init__(self, command: Sequence[str], environment: dict[str, str]) -> None:
        self.screen = ""
        self._seen = 0
        self._master, slave = pty.openpty()
        self._process = subprocess.Popen(
            [sys.executable, "-c", _TAKE_TERMINAL, *command],
            stdin=slave,
            stdout=subprocess.PIPE,
            stderr=slave,
            env=environment,
            start_new_session=True,
        )
        os.close(slave)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._process.kill()
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()
        os.close(self._master)

    def expect(self, pattern: str) -> re.Match[str]:
        """Wait until the screen shows this, after what was expected before."""
        deadline_s = time.monotonic() + _PATIENCE_S
        while (match := re.compile(pattern).search(self.screen, self._seen)) is None:
            ready, _, _ = select.select([self._master], [], [], deadline_s - time.monotonic())
            assert ready, f"{pattern!r} never came:\n{self.screen}"
            try:
                self.screen += os.read(self._master, 65536).decode()
            except OSError as error:
                raise AssertionError(f"ended without {pattern!r}:\n{self.screen}") from error
        self._seen = match.end()
        return match

    def type(self, text: str) -> None:
        os.write(self._master, text.encode() + b"\n")

    def ended(self) -> tuple[int, str]:
        """Exit status and standard output."""
        output, _ = self._process.communicate(timeout=_PATIENCE_S)
        while select.select([self._master], [], [], 0)[0]:
            try:
                self.screen += os.read(self._master, 65536).decode()
            except OSError:
                break
        return self._process.returncode, output.decode()
