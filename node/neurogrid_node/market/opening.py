"""Open for new work, or not: the owner's word, the stake, and the end of the daemon, told to all coordinators.

Save, then act: a word is in the journal before it is answered, so that a node that is killed and started
again is paused or drains as before.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass, field

import trio

from neurogrid_telemetry.log_lines import named

from ..journal import Journal, JournalError, JournalThread
from ..log_events import NodeEvent
from . import intake
from .intake import Mode, Word
from .provider import Provider

_log = logging.getLogger(__name__)

# How late the end of a pause, or of the last job, may be noticed.
_LOOK_S = 0.5
# A coordinator that takes no goodbye within this learns from the end of the connection.
_GOODBYE_S = 2.0


@dataclass(slots=True)
class _Drain:
    """One drain: ``is_done`` once everything is over, and not if the owner said something else first."""

    over: trio.Event = field(default_factory=trio.Event)
    is_done: bool = False

    def end(self, *, is_done: bool) -> None:
        self.is_done |= is_done
        self.over.set()


class Opening:
    """One per daemon; nobody else decides whether the provider accepts.

    Attributes:
        word: the owner's, as in the journal.
        stopping: set when the daemon is to end; its jobs run on.
    """

    def __init__(
        self,
        provider: Provider,
        journal: JournalThread,
        word: Word,
        stopping: trio.Event,
        now_ms: Callable[[], int],
    ) -> None:
        """
        Args:
            word: what the journal had.
        """
        self.word = word
        self.stopping = stopping
        self._provider = provider
        self._journal = journal
        self._now_ms = now_ms
        self._may_work = False
        self._is_proved = False
        self._saving = trio.Lock()
        self._drain = _Drain()

    @property
    def refusal(self) -> str:
        """Why no new work is taken; "" if it is."""
        return intake.refusal(
            self.word,
            ends=self.stopping.is_set(),
            may_work=self._may_work,
            is_proved=self._is_proved,
            now_ms=self._now_ms(),
        )

    @property
    def is_drained(self) -> bool:
        """Whether it drains, and nothing is left."""
        return self.word.mode is Mode.DRAINING and self._provider.is_idle

    # --- the owner ----------------------------------------------------------------------------------

    async def pause(self, for_s: int | None) -> None:
        """No new work; what runs goes on.

        Raises:
            JournalError: it cannot be stored, so nothing has changed.
        """
        await self._say(lambda _: intake.pause(self._now_ms(), for_s))

    async def resume(self) -> None:
        """New work again.

        Raises:
            JournalError: as in `pause`.
        """
        await self._say(lambda _: intake.resume(self._now_ms()))

    async def drain(self, *, exits: bool) -> None:
        """No new work, and the end of the daemon or nothing at all when everything is over.

        Raises:
            JournalError: as in `pause`.
        """
        await self._say(lambda before: intake.drain(before, self._now_ms(), exits=exits))

    async def until_drained(self) -> bool:
        """Wait until everything is over; False: the owner said something else meanwhile."""
        drain = self._drain
        await drain.over.wait()
        return drain.is_done

    async def _say(self, word_after: Callable[[Word], Word]) -> None:
        async with self._saving:
            word = word_after(self.word)
            await self._journal.call(Journal.save_word, word)
            if word.mode is not Mode.DRAINING or self.word.mode is not Mode.DRAINING:
                self._drain.end(is_done=False)
                self._drain = _Drain()
            self.word = word
        _log.info(
            "the owner's word: %s", word.mode, extra=named(NodeEvent.OWNER_SAID, mode=word.mode)
        )
        self._apply()

    # --- the daemon ---------------------------------------------------------------------------------

    def stake_seen(self, may_work: bool) -> None:
        """Whether the stake lets new work in."""
        self._may_work = may_work
        self._apply()

    async def container_seen(self, is_held: bool) -> None:
        """Whether a container is held as a job has to be."""
        self._is_proved = is_held
        self._apply()

    async def run(self) -> None:
        """See the ends of pauses and of drains, for ever."""
        complaint = ""
        while True:
            try:
                await self._look()
                complaint = ""
            except JournalError as error:
                if str(error) != complaint:
                    complaint = str(error)
                    _log.error("the owner's word: %s", error)
            await trio.sleep(_LOOK_S)

    async def _look(self) -> None:
        async with self._saving:
            word = intake.in_force(self.word, self._now_ms())
            is_done = self.is_drained
            exits = is_done and word.exits
            if exits:
                # Done as asked: whoever starts the node again wants it to work.
                word = intake.resume(self._now_ms())
            if word != self.word:
                await self._journal.call(Journal.save_word, word)
                self.word = word
            if is_done and not self._drain.over.is_set():
                _log.info("drained: no job is left", extra=named(NodeEvent.DRAINED))
                self._drain.end(is_done=True)
            if exits:
                self.stopping.set()
        self._apply()

    async def goodbye(self) -> None:
        """Tell every coordinator that nothing new is taken; takes two seconds at most."""
        self._provider.accepting = False
        with trio.move_on_after(_GOODBYE_S):
            async with trio.open_nursery() as nursery:
                for link in list(self._provider.links.values()):
                    nursery.start_soon(link.send, self._provider.heartbeat(link.coordinator))

    def _apply(self) -> None:
        refusal = self.refusal
        if (not refusal) is not self._provider.accepting:
            self._provider.accepting = not refusal
            said = f"not taken: {refusal}" if refusal else "taken"
            _log.info("new work is %s", said, extra=named(NodeEvent.OPEN_CHANGED, refusal=refusal))
            for link in self._provider.links.values():
                link.beat_soon()
