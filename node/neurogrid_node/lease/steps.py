"""Long actions that run beside a decision loop: at most one of a name, and none ever gives up alone.

What may go wrong in a step is handled inside it. Whatever else it raises is a defect of ours: it is
logged and the step is tried again, until whoever started it says what to do instead.
"""

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import trio

_log = logging.getLogger(__name__)

RETRY_FIRST_S = 1.0
RETRY_MAX_S = 60.0


@dataclass(frozen=True, slots=True)
class _Step:
    scope: trio.CancelScope = field(default_factory=trio.CancelScope)
    done: trio.Event = field(default_factory=trio.Event)


class Steps:
    """The steps of one owner.

    Args:
        owner: for the log, as in "lease lease_12".
        give_up: called with a step's name and how often it has failed; True ends it.
    """

    def __init__(self, owner: str, give_up: Callable[[str, int], Awaitable[bool]]) -> None:
        self._owner = owner
        self._give_up = give_up
        self._under_way: dict[str, _Step] = {}

    def start(
        self, nursery: trio.Nursery, name: str, action: Callable[[], Awaitable[None]]
    ) -> None:
        """Take a step, unless it is under way."""
        if name in self._under_way:
            return
        step = self._under_way[name] = _Step()

        async def run() -> None:
            try:
                with step.scope:
                    await self._persist(name, action)
            finally:
                del self._under_way[name]
                step.done.set()

        nursery.start_soon(run, name=f"{self._owner}: {name}")

    async def until_done(self, name: str) -> None:
        """Wait for the end of a step, if it is under way."""
        if step := self._under_way.get(name):
            await step.done.wait()

    async def cancel(self, name: str) -> None:
        """End a step, and wait until it has ended: it may be in the middle of something."""
        if step := self._under_way.get(name):
            step.scope.cancel()
            await step.done.wait()

    async def _persist(self, name: str, action: Callable[[], Awaitable[None]]) -> None:
        pause_s = RETRY_FIRST_S
        failures = 0
        while True:
            try:
                await action()
                return
            except Exception:  # noqa: BLE001 - the task's boundary: one lease ends no daemon
                _log.exception("%s: %s failed", self._owner, name)
            failures += 1
            if await self._give_up(name, failures):
                return
            await trio.sleep(pause_s)
            pause_s = min(pause_s * 2, RETRY_MAX_S)
