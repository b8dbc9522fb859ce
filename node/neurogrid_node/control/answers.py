"""What the running daemon does when its owner asks, and says of it."""

from dataclasses import asdict

import trio

from ..journal import Journal, JournalThread
from ..market.opening import Opening
from ..market.provider import Provider
from ..market.reclaiming import ALL
from .requests import Drain, Past, Pause, Reclaim, Refused, Request, Resume, Stop

# A lease whose inbox is full hears of it at its next turn.
_RECLAIM_LIMIT_S = 10.0
_RECLAIM_AGAIN_S = 0.05


class Answers:
    """To the owner's requests."""

    def __init__(self, provider: Provider, opening: Opening, journal: JournalThread) -> None:
        self._provider = provider
        self._opening = opening
        self._journal = journal

    async def __call__(self, request: Request) -> dict[str, object]:
        """Do it, and say what is so now.

        Raises:
            Refused: it can't be done.
            JournalError: it can't be stored, and so has not been done.
        """
        match request:
            case Pause(for_s=for_s):
                await self._opening.pause(for_s)
            case Resume():
                await self._opening.resume()
            case Drain(exits=exits, waits=waits):
                await self._drain(exits=exits, waits=waits)
            case Stop():
                self._opening.stopping.set()
            case Reclaim(lease_id=lease_id):
                return {"reclaimed": await self._reclaim(lease_id)}
            case Past(limit=limit):
                past = await self._journal.call(Journal.past, limit)
                return {"past": [asdict(lease) for lease in past]}
        return self._standing()

    def _standing(self) -> dict[str, object]:
        opening = self._opening
        return {
            "word": asdict(opening.word),
            "accepting": not opening.refusal,
            "no_new_work": opening.refusal,
            "drained": opening.is_drained,
            "leases": len(self._provider.runners),
        }

    async def _drain(self, *, exits: bool, waits: bool) -> None:
        await self._opening.drain(exits=exits)
        if waits and not await self._opening.until_drained():
            raise Refused(f"no longer draining: {self._opening.word.mode} by another command")

    async def _reclaim(self, lease_id: str | None) -> list[str]:
        """The leases that are on their way; returns when that is stored."""
        if lease_id is not None:
            runner = self._provider.runners.get(lease_id)
            if runner is None:
                raise Refused(f"no lease {lease_id} here: `neurogrid-node status` lists them")
            if not runner.lease.is_reclaimable and not runner.lease.reclaimed_at_ms:
                raise Refused(f"{lease_id} is not of a preemptible job that runs: it may go on")
        what = lease_id or ALL
        asked = self._provider.displacing.reclaim(what)
        until_s = trio.current_time() + _RECLAIM_LIMIT_S
        # Its runner takes it from an inbox, and stores it before anything is done about it.
        while self._provider.displacing.reclaim(what):
            if trio.current_time() > until_s:
                raise Refused("not stored yet: ask again")
            await trio.sleep(_RECLAIM_AGAIN_S)
        return [lease_id] if lease_id is not None else sorted(asked)
