"""Terminals for tests of commands that a person types into."""

import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

PATIENCE_S = 60


class Screen:
    """A terminal, and a command in it."""

    def __init__(self, master: int, child: "subprocess.Popen[bytes]") -> None:
        self.master = master
        self.child = child
        self.text = b""

    def type(self, keys: bytes) -> None:
        os.write(self.master, keys)

    def until(self, words: bytes) -> None:
        """Read until it shows this."""
        deadline = time.monotonic() + PATIENCE_S
        while words not in self.text:
            ready, _, _ = select.select([self.master], [], [], deadline - time.monotonic())
            assert ready, f"not shown: {self.text!r}"
            self.text += os.read(self.master, 65_536)
        self.text = self.text.partition(words)[2]

    def resize(self, rows: int, columns: int) -> None:
        size = struct.pack("HHHH", rows, columns, 0, 0)
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, size)
        # The kernel tells the foreground process; ours is none here.
        self.child.send_signal(signal.SIGWINCH)


@contextmanager
def screen(command: Sequence[str], environment: Mapping[str, str]) -> Iterator[Screen]:
    """A command in a terminal of 80 by 24, which is as it was afterwards."""
    master, slave = pty.openpty()
    try:
        fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        before = termios.tcgetattr(slave)
        with subprocess.Popen(
            command, stdin=slave, stdout=slave, stderr=slave, env=environment
        ) as child:
            try:
                yield Screen(master, child)
                child.wait(PATIENCE_S)
            finally:
                child.kill()
        assert termios.tcgetattr(slave) == before
    finally:
        os.close(master)
        os.close(slave)
