"""Asks the chain what became of the payments in flight. What follows from it is in ``payment.py``."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace

from neurogrid_wallet.chain import ChainPosition, Commitment
from neurogrid_wallet.errors import RpcRejected
from neurogrid_wallet.in_flight import InFlight
from neurogrid_wallet.payment import Landed, Missing, Payment, advance, is_dead, is_expired
from neurogrid_wallet.rpc import SIGNATURE_STATUSES_PER_CALL_MAX, Rpc
from neurogrid_wallet.second_endpoint import SecondWord, ask_second


class Watcher:
    """Looks at what is in flight, and records what it finds.

    Its methods raise ``RpcError`` when the endpoint does not answer; what was found before is kept.
    """

    def __init__(self, in_flight: InFlight, rpc: Rpc, second_rpc: Rpc | None) -> None:
        self._in_flight = in_flight
        self._rpc = rpc
        self._second_rpc = second_rpc

    async def glance(self) -> None:
        """Ask whether what was sent has landed: cheap, and what is missing proves nothing."""
        for chunk in _chunks(self._in_flight.signed()):
            await self._look(chunk, search_history=False)

    async def check(self, send_again: Callable[[Payment], None]) -> None:
        """Look at everything in flight: send again what is missing, bury what is dead."""
        if not self._in_flight.payments:
            return
        # The height first and the statuses after it: payment.py says why.
        position = await self._rpc.position()
        expired: list[Payment] = []
        alive: list[Payment] = []
        for payment in self._in_flight.payments.values():
            (expired if is_expired(payment.transaction, position) else alive).append(payment)
        for chunk in _chunks(alive):
            missing, _ = await self._look(chunk, search_history=False)
            for payment in missing:
                send_again(payment)
        for chunk in _chunks(expired):
            await self._bury(chunk, position)

    async def _look(
        self, payments: Sequence[Payment], *, search_history: bool
    ) -> tuple[list[Payment], int]:
        """Ask one node what became of these payments, and record what landed.

        Returns: the payments it does not know, and the slot it has reached.
        """
        signatures = [payment.transaction.signature for payment in payments]
        answer = await self._rpc.signature_statuses(signatures, search_history=search_history)
        landed, missing, large = [], [], []
        for payment, signature, status in zip(payments, signatures, answer.statuses, strict=True):
            if status is None:
                missing.append(payment)
            elif payment.two_endpoints and status.commitment is Commitment.FINALIZED:
                large.append((payment, Landed(signature, status)))
            else:
                landed.append(advance(payment, Landed(signature, status)))
        await self._in_flight.record(landed + await self._seconded(large))
        return missing, answer.slot

    async def _seconded(self, large: Sequence[tuple[Payment, Landed]]) -> list[Payment]:
        """What becomes of these payments by what both endpoints say."""
        signatures = [event.signature for _, event in large]
        words = await ask_second(self._second_rpc, signatures, prove_missing=False)
        advanced = []
        for (payment, event), word in zip(large, words, strict=True):
            if problem := word.waits_because(event.status):
                self._in_flight.note(payment, problem)
            advanced.append(advance(payment, replace(event, second=word.status)))
        return advanced

    async def _bury(self, expired: Sequence[Payment], position: ChainPosition) -> None:
        """Let those start over that can be proven dead; the others have to wait for proof."""
        try:
            missing, answered_slot = await self._look(expired, search_history=True)
            # After the statuses: see Missing.
            known_from_slot = await self._rpc.first_available_slot() if missing else 0
        except RpcRejected as error:
            # Of no concern to the payments that are alive, so this is no outage.
            for payment in expired:
                self._in_flight.note(
                    payment, f"expired, and nobody can tell whether it landed: {error}"
                )
            return
        events = [
            Missing(payment.transaction.signature, position, answered_slot, known_from_slot)
            for payment in missing
        ]
        words = await self._second_words(missing, events)
        advanced = []
        for payment, event in zip(missing, events, strict=True):
            word = words.get(event.signature)
            second = None if word is None else word.missing
            advanced.append(advance(payment, replace(event, second=second)))
            disagreement = None if word is None else word.waits_because(None)
            if advanced[-1] is not payment:
                self._in_flight.note(payment, f"attempt {payment.attempts} expired without landing")
            else:
                unproven = "expired, and this endpoint cannot prove that it never landed"
                self._in_flight.note(payment, disagreement or unproven)
        await self._in_flight.record(advanced)

    async def _second_words(
        self, missing: Sequence[Payment], events: Sequence[Missing]
    ) -> dict[str, SecondWord]:
        """By signature, what the second endpoint says of those that need its word to be dead."""
        signatures = [
            event.signature
            for payment, event in zip(missing, events, strict=True)
            if payment.two_endpoints and is_dead(payment.transaction, event)
        ]
        words = await ask_second(self._second_rpc, signatures, prove_missing=True)
        return dict(zip(signatures, words, strict=True))


def _chunks(payments: Iterable[Payment]) -> Iterator[list[Payment]]:
    """As many at a time as one status call takes."""
    remaining = list(payments)
    for start in range(0, len(remaining), SIGNATURE_STATUSES_PER_CALL_MAX):
        yield remaining[start : start + SIGNATURE_STATUSES_PER_CALL_MAX]
