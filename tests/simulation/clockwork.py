"""Virtual time, one random source, and a network that loses, doubles, delays and reorders."""

import heapq
import random
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count


class Crash(Exception):
    """A process was killed here."""


@dataclass(frozen=True, slots=True)
class Chaos:
    """How unkind the world is.

    Attributes:
        loss, duplication: share of messages.
        delay_ms: longest time a message is under way.
        crash: chance of a kill -9 at each crash point (before and after every save and every act).
        down_ms: longest time until a killed process is back.
        chain_loss: share of chain calls that do not arrive, and again of replies that don't.
        until_ms: after this the world is kind, so that everything can come to rest.
        node_death: chance, per node, that its machine dies for good at a random moment.
    """

    loss: float = 0.0
    duplication: float = 0.0
    delay_ms: int = 50
    crash: float = 0.0
    down_ms: int = 5_000
    chain_loss: float = 0.0
    until_ms: int = 240_000
    node_death: float = 0.0


class Clockwork:
    """The scheduler: everything that happens, happens in one order given by the seed."""

    def __init__(self, seed: int, chaos: Chaos) -> None:
        self.random = random.Random(seed)
        self.chaos = chaos
        self.now_ms = 1_700_000_000_000
        self.started_ms = self.now_ms
        self._order = count()
        self._agenda: list[tuple[int, int, Callable[[], None]]] = []

    @property
    def kind(self) -> bool:
        """Whether the time of troubles is over."""
        return self.now_ms - self.started_ms > self.chaos.until_ms

    def chance(self, probability: float) -> bool:
        """Whether something unkind happens now."""
        return not self.kind and self.random.random() < probability

    def later(self, delay_ms: int, action: Callable[[], None]) -> None:
        """Do something after a while."""
        heapq.heappush(self._agenda, (self.now_ms + delay_ms, next(self._order), action))

    def run(self, until: Callable[[], bool], limit_ms: int) -> None:
        """Let time pass until a condition holds, or the limit."""
        end_ms = self.started_ms + limit_ms
        while self._agenda and not until():
            at_ms, _, action = heapq.heappop(self._agenda)
            if at_ms > end_ms:
                return
            self.now_ms = at_ms
            action()

    def send(self, deliver: Callable[[], None]) -> None:
        """Put a message on its way, perhaps twice, perhaps never."""
        if self.chance(self.chaos.loss):
            return
        copies = 2 if self.chance(self.chaos.duplication) else 1
        for _ in range(copies):
            self.later(1 + self.random.randrange(self.chaos.delay_ms), deliver)


class Process:
    """Something that can be killed at any crash point and comes back with what it had saved."""

    def __init__(self, clockwork: Clockwork, name: str) -> None:
        self.clockwork = clockwork
        self.name = name
        self.up = True
        self.crashes = 0
        self._life = 0

    def crash_point(self) -> None:
        """A place where kill -9 may strike."""
        if self.clockwork.chance(self.clockwork.chaos.crash):
            raise Crash(self.name)

    def guarded(self, action: Callable[[], None]) -> None:
        """Run something; if it is killed, be away for a while and start again."""
        if not self.up:
            return
        try:
            action()
        except Crash:
            self.kill(1 + self.clockwork.random.randrange(self.clockwork.chaos.down_ms))

    def kill(self, down_ms: int) -> None:
        """kill -9, and a start after ``down_ms``."""
        self.up = False
        self.crashes += 1
        self._life += 1
        self.forget()
        self.clockwork.later(down_ms, self._come_back)

    def in_this_life(self, delay_ms: int, action: Callable[[], None]) -> None:
        """A timer that dies with the process."""
        life = self._life

        def if_alive() -> None:
            if self.up and self._life == life:
                self.guarded(action)

        self.clockwork.later(delay_ms, if_alive)

    def _come_back(self) -> None:
        self.up = True
        self.guarded(self.begin)

    def forget(self) -> None:
        """Lose whatever was only in memory."""

    def begin(self) -> None:
        """Start, from what was saved."""
