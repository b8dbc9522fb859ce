"""How what the coordinator is made of is: each part is asked, within bounded time."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

# Longer than any healthy part takes; a monitor waits about as long.
CHECK_S = 2.0
# Anybody may ask, and each check costs somebody something.
_KEPT_S = 5.0

Health = Literal["healthy", "degraded", "unhealthy"]
Details = dict[str, object]
# Says how a part is, or raises where it does not answer.
Check = Callable[[], Awaitable[tuple[Health, Details]]]


@dataclass(frozen=True, slots=True)
class Checked:
    """What a check found, and when (Unix milliseconds)."""

    health: Health
    details: Details = field(default_factory=dict)
    at_ms: int = 0


class Services:
    """The parts by name."""

    def __init__(self, checks: Mapping[str, Check]) -> None:
        self._checks = checks
        self._kept: dict[str, tuple[float, Checked]] = {}
        self._locks = {name: asyncio.Lock() for name in checks}

    @property
    def names(self) -> tuple[str, ...]:
        """All there are."""
        return tuple(self._checks)

    async def check(self, name: str) -> Checked:
        """How this part is; up to five seconds old. Raises KeyError: there is none."""
        async with self._locks[name]:
            kept = self._kept.get(name)
            if kept is not None and time.monotonic() - kept[0] < _KEPT_S:
                return kept[1]
            checked = await self._ask(name)
            self._kept[name] = (time.monotonic(), checked)
            return checked

    async def all(self) -> dict[str, Checked]:
        """How every part is."""
        found = await asyncio.gather(*(self.check(name) for name in self._checks))
        return dict(zip(self._checks, found, strict=True))

    async def _ask(self, name: str) -> Checked:
        began_s, at_ms = time.monotonic(), time.time_ns() // 1_000_000
        try:
            async with asyncio.timeout(CHECK_S):
                health, details = await self._checks[name]()
        except TimeoutError:
            problem = f"no answer within {CHECK_S:g} s"
            return Checked("unhealthy", {"last_error": problem}, at_ms)
        # The boundary of one part: whatever ails it, the others are asked.
        except Exception as error:  # noqa: BLE001 - the boundary of one check: whatever it fails with is its answer
            return Checked("unhealthy", {"last_error": type(error).__name__}, at_ms)
        took_s = round(time.monotonic() - began_s, 6)
        return Checked(health, {"query_time": took_s, "last_error": None, **details}, at_ms)
