"""The terminal of a command that runs elsewhere: its keys sent there, its state put back whatever happens."""

import os
import select
import shutil
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from ..commands import Command

_PIECE_BYTES = 16 * 1024
# A second Ctrl-C without a terminal there is for us: the first was for the command.
_INTERRUPTS_MAX = 2


class Escapes:
    """Finds what a person types for us among what is for the command: ``~.`` and ``~~`` at a line's begin.

    Attributes:
        left: ``~.`` was typed.
    """

    def __init__(self) -> None:
        self.left = False
        self._at_begin = True
        self._tilde = False

    def feed(self, typed: bytes) -> bytes:
        """What of it is for the command."""
        meant = bytearray()
        for key in typed:
            if self._tilde:
                self._tilde = False
                if key == ord("."):
                    self.left = True
                    return bytes(meant)
                meant += b"" if key == ord("~") else b"~"
            elif self._at_begin and key == ord("~"):
                self._tilde = True
                continue
            meant.append(key)
            self._at_begin = key in b"\r\n"
        return bytes(meant)


class Keyboard:
    """Sends standard input to a command, from a thread of its own; and what signals say (`handling`).

    Attributes:
        left: the person wants to leave, or we were told to end.
        told: by which signal; None: by none.
    """

    def __init__(self, command: Command, descriptor: int | None, *, tty: bool) -> None:
        """
        Args:
            descriptor: of standard input; None: the command gets none.
            tty: whether the command has a terminal.
        """
        self.left = False
        self.told: signal.Signals | None = None
        self._command = command
        self._descriptor = descriptor
        self._escapes = Escapes() if tty else None
        self._interrupts = 0
        self._stopped, self._stop = os.pipe()
        self._thread = threading.Thread(target=self._run, name="keyboard", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread, once the command is closed."""
        os.close(self._stop)
        self._thread.join()
        os.close(self._stopped)

    def resized(self) -> None:
        """The terminal has another size."""
        self._command.resize(*shutil.get_terminal_size())

    def interrupted(self) -> None:
        """Ctrl-C was pressed, and is no key that is sent."""
        self._interrupts += 1
        if self._interrupts >= _INTERRUPTS_MAX:
            self._leave()
        else:
            self._command.signal("INT")

    def end(self, told: signal.Signals) -> None:
        """We were told to end."""
        self.told = told
        self._leave()

    def _run(self) -> None:
        if self._descriptor is None:
            self._command.end_input()
            return
        while self._stopped not in select.select((self._stopped, self._descriptor), (), ())[0]:
            if not self._pass_on(self._descriptor):
                return

    def _pass_on(self, descriptor: int) -> bool:
        """Send what was typed; whether more may come."""
        try:
            typed = os.read(descriptor, _PIECE_BYTES)
        except OSError:
            typed = b""  # it was closed, or its terminal is gone
        if not typed:
            self._command.end_input()
            return False
        meant = typed if self._escapes is None else self._escapes.feed(typed)
        self._command.write(meant)
        if self._escapes is not None and self._escapes.left:
            self._leave()
            return False
        return True

    def _leave(self) -> None:
        self.left = True
        self._command.close()


@contextmanager
def raw_mode(descriptor: int) -> Iterator[None]:
    """Every key as it is typed, with no meaning of its own here; as it was before, in the end."""
    import termios
    import tty

    before = termios.tcgetattr(descriptor)
    try:
        # What is typed already is kept.
        tty.setraw(descriptor, termios.TCSADRAIN)
        yield
    finally:
        # A terminal that is gone needs nothing.
        with suppress(termios.error):
            termios.tcsetattr(descriptor, termios.TCSADRAIN, before)


@contextmanager
def handling(handlers: dict[signal.Signals, Callable[[], None]]) -> Iterator[None]:
    """Have signals handled by these, in a thread of its own, and as before in the end.

    In the main thread, a handler that raises may do so between any two steps, also where a lock was just taken;
    and it waits for as long as the main thread does, where the kernel gave the signal to another one.
    """
    woken, wake = os.pipe()
    os.set_blocking(wake, False)

    def handle() -> None:
        while numbers := os.read(woken, _PIECE_BYTES):
            for number in numbers:
                if handler := handlers.get(signal.Signals(number)):
                    handler()

    thread = threading.Thread(target=handle, name="signals", daemon=True)
    before = {number: signal.signal(number, lambda number, frame: None) for number in handlers}
    # Full: thousands of them wait already.
    woken_before = signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    thread.start()
    try:
        yield
    finally:
        signal.set_wakeup_fd(woken_before)
        for number, handler in before.items():
            signal.signal(number, handler)
        os.close(wake)
        thread.join()
        os.close(woken)
