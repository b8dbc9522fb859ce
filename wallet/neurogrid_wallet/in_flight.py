"""What is signed and not decided, what is wrong with it, and who waits for it."""

import logging
from collections.abc import Callable, Sequence

import anyio

from neurogrid_wallet.payment import DECIDED, Payment, PaymentState
from neurogrid_wallet.payment_store import PaymentStore, StoreThread

_log = logging.getLogger(__name__)


class InFlight:
    """The signed payments that may still land, as the file has them, and those who wait for them.

    Attributes:
        payments: by payment id, as stored.
        outage: what keeps all of them waiting, for people; None: the chain answers.
    """

    def __init__(self, store: StoreThread, on_left: Callable[[Payment], None]) -> None:
        """
        Args:
            on_left: called with each payment that is no longer in flight: decided, or to be signed
                again.
        """
        self.payments: dict[str, Payment] = {}
        self.outage: str | None = None
        self._store = store
        self._on_left = on_left
        # By payment id: the latest problem; and what is set and dropped when the payment changes.
        self._problems: dict[str, str] = {}
        self._changes: dict[str, anyio.Event] = {}

    async def load(self) -> None:
        """Take up what an earlier run left behind."""
        in_flight = await self._store.call(PaymentStore.in_flight)
        self.payments = {payment.payment_id: payment for payment in in_flight}

    def signed(self) -> list[Payment]:
        """Those that were not seen to land yet."""
        return [
            payment for payment in self.payments.values() if payment.state is PaymentState.SIGNED
        ]

    def change_of(self, payment_id: str) -> anyio.Event:
        """Is set when the payment changes next. Look at it after asking for this, not before."""
        return self._changes.setdefault(payment_id, anyio.Event())

    def changed(self, payment_id: str) -> None:
        """Wake whoever waits for this payment."""
        if change := self._changes.pop(payment_id, None):
            change.set()

    def problem_of(self, payment_id: str) -> str | None:
        """What last went wrong with an undecided payment, for people."""
        return self._problems.get(payment_id) or self.outage

    def note(self, payment: Payment, problem: str) -> None:
        """Keep the latest problem for whoever waits, and log it once."""
        if self._problems.get(payment.payment_id) != problem:
            self._problems[payment.payment_id] = problem
            _log.warning("payment %s: %s", payment.payment_id, problem)

    def note_unsigned(self, problems: dict[str, str]) -> None:
        """Keep why payments could not be signed, by their ids."""
        for payment_id, problem in problems.items():
            _log.error("payment %s waits: %s", payment_id, problem)
        self._problems |= problems

    async def record(self, payments: Sequence[Payment]) -> None:
        """Store what has changed, then let it be known."""
        changed = [
            payment for payment in payments if payment is not self.payments[payment.payment_id]
        ]
        if not changed:
            return
        await self._store.call(lambda store: store.save(changed))
        for payment in changed:
            if payment.state in (PaymentState.SIGNED, PaymentState.CONFIRMED):
                self.payments[payment.payment_id] = payment
            else:
                del self.payments[payment.payment_id]
                self._on_left(payment)
            if payment.state in DECIDED:
                self._problems.pop(payment.payment_id, None)
            if payment.state is PaymentState.FAILED:
                _log.warning("payment %s failed: %s", payment.payment_id, payment.failure)
            self.changed(payment.payment_id)
