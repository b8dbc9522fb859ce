"""Offering a lease to the node that won, and waiting for its answer."""

from collections.abc import Awaitable, Callable

import trio

from neurogrid_marketplace.envelope import Envelope
from neurogrid_marketplace.messages import Accept, Award, Deny
from neurogrid_marketplace.orchestration import AWARD_ANSWER_MS
from neurogrid_p2p.errors import ChannelClosed

from .reports import ACCEPTED, BAD_ANSWER, NO_ANSWER, UNREACHABLE, AwardReport

Answer = tuple[Envelope, Accept | Deny]


class Leases:
    """Awards that wait for an answer.

    Args:
        send: puts an award on the way to a node; raises `ChannelClosed` if it is gone.
    """

    def __init__(self, send: Callable[[str, Award], Awaitable[Envelope]]) -> None:
        self._send = send
        self._waiting: dict[tuple[str, str], list[trio.MemorySendChannel[Answer]]] = {}

    async def award(self, node_id: str, award: Award) -> AwardReport:
        """Send the award and wait up to ``AWARD_ANSWER_MS`` for accept or deny.

        The same award may be sent again: the node answers again.
        """
        # One answer is enough; a second finds no room and is passed on as a late one.
        deliver, answers = trio.open_memory_channel[Answer](1)
        waiting = self._waiting.setdefault((node_id, award.lease_id), [])
        waiting.append(deliver)
        sent: Envelope | None = None
        answer: Answer | None = None
        try:
            with trio.move_on_after(AWARD_ANSWER_MS / 1000):
                sent = await self._send(node_id, award)
                answer = await answers.receive()
        except ChannelClosed:
            return AwardReport(None, None, accepted=False, code=UNREACHABLE)
        except trio.EndOfChannel:
            return AwardReport(sent, None, accepted=False, code=UNREACHABLE)
        finally:
            waiting.remove(deliver)
            if not waiting:
                self._waiting.pop((node_id, award.lease_id), None)
        if answer is None:
            return AwardReport(sent, None, accepted=False, code=NO_ANSWER)
        envelope, message = answer
        if isinstance(message, Deny):
            return AwardReport(sent, envelope, accepted=False, code=message.code.value)
        if message.award_hash != award.hash():
            return AwardReport(sent, envelope, accepted=False, code=BAD_ANSWER)
        return AwardReport(sent, envelope, accepted=True, code=ACCEPTED)

    def answer_received(self, node_id: str, envelope: Envelope, message: Accept | Deny) -> bool:
        """Give an answer to whoever waits for it; False: nobody does (any more)."""
        taken = False
        for deliver in self._waiting.get((node_id, message.lease_id), ()):
            try:
                deliver.send_nowait((envelope, message))
            except trio.WouldBlock:
                continue
            taken = True
        return taken

    def node_left(self, node_id: str) -> None:
        """Expect nothing more of a node."""
        for (waiting_id, _), waiting in self._waiting.items():
            if waiting_id == node_id:
                for deliver in waiting:
                    deliver.close()
