"""The threads of a machine: begun while it is open, and waited for when it closes."""

import threading
import time
from collections.abc import Callable


class Threads:
    """Daemons, so that a program that ends without closing is not held up.

    Attributes:
        closing: set when all of them are to end.
    """

    def __init__(self, name: str) -> None:
        self.closing = threading.Event()
        self._name = name
        self._lock = threading.Lock()
        self._begun: list[threading.Thread] = []

    def begin(self, run: Callable[[], object]) -> None:
        """Run it in a thread of its own, unless all are to end."""
        thread = threading.Thread(target=run, name=self._name, daemon=True)
        with self._lock:
            if not self.closing.is_set():
                self._begun = [each for each in self._begun if each.is_alive()]
                thread.start()
                self._begun.append(thread)

    def join(self, patience_s: float) -> None:
        """Wait until they have ended, but no longer than this; for the one that calls not at all."""
        deadline_s = time.monotonic() + patience_s
        with self._lock:
            begun = list(self._begun)
        for thread in begun:
            if thread is not threading.current_thread():
                thread.join(max(0.0, deadline_s - time.monotonic()))
