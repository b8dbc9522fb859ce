"""One connection of a machine: its mailbox, the streams in it, and what waits to be said.

One thread listens, one speaks; whoever else has the lock may queue what is to be said. Nothing is waited for under the
lock. When the link is over, the machine makes another: whatever matters is said again there.
"""

import logging
from collections import deque
from collections.abc import Callable
from threading import Condition
from typing import Protocol

from neurogrid_marketplace.envelope import Envelope
from neurogrid_marketplace.errors import RemoteError, UnknownMessage
from neurogrid_marketplace.messages import Message

from ..errors import ConflictError, ConnectionFailed, NeuroGridError, NotFoundError
from .keys import Key
from .mailbox import CONTROL, ENVELOPES_MAX, Letter, Mailbox
from .stream import SignedStream

# Beyond this nothing that will be said again anyway is queued.
QUEUE_MAX = 512

_log = logging.getLogger(__name__)


class Listener(Protocol):
    """Who hears what is said; called with the lock held."""

    def joined(self) -> None:
        """The first stream is open."""

    def attached(self, lease_id: str) -> None:
        """A lease's stream is open."""

    def heard(self, lease_id: str | None, message: Message) -> None:
        """Something was said, on this lease's stream or (None) on the first one."""


class Link:
    """A connection.

    Args:
        lock: the machine's; notified when something changes.

    Attributes:
        is_over: nothing is heard or said any more.
        problem: why, where it did not just end.
    """

    def __init__(
        self, mailbox: Mailbox, key: Key, lock: Condition, now_ms: Callable[[], int]
    ) -> None:
        self.is_over = False
        self.problem: NeuroGridError | None = None
        self._mailbox = mailbox
        self._key = key
        self._lock = lock
        self._now_ms = now_ms
        self._streams: dict[str, SignedStream] = {}
        self._names: dict[str, str] = {}
        self._leases: dict[str, str] = {}
        self._wanted: deque[str] = deque()
        self._outgoing: deque[tuple[str, Envelope]] = deque()

    @property
    def coordinator(self) -> str:
        """The peer id at the other end, "" before it has said a word."""
        control = self._streams.get(CONTROL)
        return control.coordinator if control is not None else ""

    @property
    def is_joined(self) -> bool:
        """Whether the first stream is open."""
        return CONTROL in self._streams and not self.is_over

    # --- with the lock held -----------------------------------------------------------------------

    def say(self, message: Message) -> Envelope | None:
        """Say something on the first stream; what was signed, or None where it can't be said now."""
        return self._queue(CONTROL, message)

    def tell(self, lease_id: str, message: Message) -> bool:
        """Say something on a lease's stream; whether there is one."""
        name = self._names.get(lease_id, "")
        return self._queue(name, message) is not None

    def has_stream(self, lease_id: str) -> bool:
        """Whether a lease has one, or one is being opened."""
        return lease_id in self._names or lease_id in self._wanted

    def want(self, lease_id: str) -> None:
        """Have a stream opened for a lease."""
        if not self.has_stream(lease_id) and not self.is_over:
            self._wanted.append(lease_id)
            self._lock.notify_all()

    def end(self, problem: NeuroGridError | None = None) -> None:
        """It is over."""
        if not self.is_over:
            self.is_over = True
            self.problem = problem
            self._lock.notify_all()

    def _queue(self, name: str, message: Message) -> Envelope | None:
        stream = self._streams.get(name)
        if stream is None or self.is_over or len(self._outgoing) >= QUEUE_MAX:
            return None
        envelope = stream.seal(message, self._now_ms())
        self._outgoing.append((name, envelope))
        self._lock.notify_all()
        return envelope

    # --- the two threads ----------------------------------------------------------------------------

    def listen(self, listener: Listener) -> None:
        """Hear until it is over."""
        try:
            while not self.is_over:
                letters, is_over = self._mailbox.take()
                with self._lock:
                    for letter in letters:
                        self._hear(letter, listener)
                    if is_over:
                        self.end()
        except RemoteError as error:
            with self._lock:
                self.end(ConnectionFailed(f"the coordinator broke the protocol: {error}"))
        except NeuroGridError as error:
            with self._lock:
                self.end(error)

    def speak(self, listener: Listener) -> None:
        """Say what is queued until it is over."""
        try:
            while True:
                with self._lock:
                    while not self._outgoing and not self._wanted and not self.is_over:
                        self._lock.wait()
                    if self.is_over and not self._outgoing:
                        break
                    batch = self._next_batch()
                    wanted = "" if batch or not self._wanted else self._wanted[0]
                if batch:
                    self._post(*batch)
                elif wanted:
                    self._open(wanted, listener)
        except NeuroGridError as error:
            with self._lock:
                self.end(error)
        except Exception:  # noqa: BLE001 - a thread's outermost boundary: the next link may be better
            _log.exception("what was to be said could not be")
            with self._lock:
                self.end()
        try:
            self._mailbox.end()
        except NeuroGridError as error:
            _log.debug("a mailbox could not be ended: %s", error)

    def _hear(self, letter: Letter, listener: Listener) -> None:
        name, now_ms = letter.stream, self._now_ms()
        stream = self._streams.get(name)
        if letter.envelope is None:
            self._streams.pop(name, None)
            self._names.pop(self._leases.pop(name, ""), None)
        elif stream is None:
            self._streams[name] = SignedStream(
                self._key, self._mailbox.network, letter.envelope, now_ms
            )
            if name == CONTROL:
                listener.joined()
            elif name in self._leases:
                listener.attached(self._leases[name])
        else:
            try:
                message = stream.open(letter.envelope, now_ms)
            except UnknownMessage as error:
                _log.debug("passed over: %s", error)
                return
            listener.heard(self._leases.get(name), message)

    def _next_batch(self) -> tuple[str, list[Envelope]] | None:
        if not self._outgoing:
            return None
        name = self._outgoing[0][0]
        batch: list[Envelope] = []
        while self._outgoing and self._outgoing[0][0] == name and len(batch) < ENVELOPES_MAX:
            batch.append(self._outgoing.popleft()[1])
        return name, batch

    def _post(self, name: str, batch: list[Envelope]) -> None:
        try:
            self._mailbox.say(name, [envelope.to_dict() for envelope in batch])
        except NotFoundError:
            if name == CONTROL:
                raise
            # The stream has ended, and what was said on it is said again on the next one.

    def _open(self, lease_id: str, listener: Listener) -> None:
        try:
            name = self._mailbox.open_stream()
        except ConflictError as error:
            _log.warning("no stream for %s now: %s", lease_id, error)
            name = ""
        with self._lock:
            self._wanted.remove(lease_id)
            if not name:
                return
            self._leases[name], self._names[lease_id] = lease_id, name
            if name in self._streams:
                listener.attached(lease_id)
