"""The loop that carries payments out: it signs, sends, and has ``outbox_watcher.py`` look.

``outbox.py`` is its door; the rules are in ``payment.py``.
"""

import logging
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import anyio
from anyio.abc import TaskGroup

from neurogrid_wallet.errors import RpcError, RpcRejected
from neurogrid_wallet.in_flight import InFlight
from neurogrid_wallet.intent import Intent
from neurogrid_wallet.outbox_policy import OutboxPolicy
from neurogrid_wallet.outbox_watcher import Watcher
from neurogrid_wallet.payment import Payment, PaymentState, SignedTransaction
from neurogrid_wallet.payment_store import StoreThread
from neurogrid_wallet.rpc import Blockhash, Rpc
from neurogrid_wallet.transactions import writable_accounts


@dataclass(frozen=True, slots=True)
class SigningTerms:
    """What one attempt is signed with.

    Attributes:
        blockhash: what it is signed over.
        recent_prices: what going first cost lately, in micro-lamports per compute unit.
        dead_attempts: how many attempts of the payment died before.
        extra_units: makes the bytes differ (``PaymentStore.sign_new``).
    """

    blockhash: Blockhash
    recent_prices: Sequence[int]
    dead_attempts: int
    extra_units: int


SignOver = Callable[[Intent, SigningTerms], SignedTransaction]
"""Signs an intent.

Raises:
    SignerMissing: a key is not there.
"""

_log = logging.getLogger(__name__)

# The wait after an endpoint gave no answer, at most: a chain that is away for an hour costs some
# 400 calls.
_OUTAGE_WAIT_MAX_S = 10.0


class Driver:
    """The loop over everything that is submitted and not decided.

    Attributes:
        in_flight: what of it is signed.
    """

    def __init__(
        self,
        store: StoreThread,
        rpc: Rpc,
        sign_over: SignOver,
        policy: OutboxPolicy,
        second_rpc: Rpc | None = None,
    ) -> None:
        self.in_flight = InFlight(store, self._left)
        self._watcher = Watcher(self.in_flight, rpc, second_rpc)
        self._store = store
        self._rpc = rpc
        self._sign_over = sign_over
        self._policy = policy
        self._running = False
        # Something was submitted or sent, or there is room to sign more.
        self._wake = anyio.Event()
        # There may be new payments to sign; there are some that could not be signed.
        self._unsigned = False
        self._unsignable = False
        self._send_slots = anyio.CapacityLimiter(policy.sends_max)
        self._sending: set[str] = set()
        self._poll_wait_s = policy.poll_first_s
        self._check_due_s = 0.0

    def submitted(self) -> None:
        """There is a new payment in the store."""
        self._unsigned = True
        self._wake.set()

    async def run(self) -> None:
        """Sign, send and watch, for ever; only cancellation ends it."""
        assert not self._running, "the outbox is run twice at the same time"
        self._running = True
        try:
            await self._run()
        finally:
            self._running = False

    async def _run(self) -> None:
        await self.in_flight.load()
        self._unsigned = True
        self._check_due_s = anyio.current_time()
        outages = 0
        async with anyio.create_task_group() as senders:
            while True:
                self._wake = anyio.Event()
                try:
                    await self._round(senders)
                except RpcError as error:
                    outages += 1
                    self.in_flight.outage = str(error)
                    _log.warning("payments wait for the chain: %s", error)
                    await anyio.sleep(_outage_wait_s(outages))
                else:
                    outages = 0
                    self.in_flight.outage = None
                    await self._pause()

    async def _round(self, senders: TaskGroup) -> None:
        room = self._policy.in_flight_max - len(self.in_flight.payments)
        if self._unsigned and room > 0:
            await self._sign(room, senders)
        if anyio.current_time() >= self._check_due_s:
            self._unsigned |= self._unsignable
            await self._watcher.check(lambda payment: self._start_sending(payment, senders))
            self._check_due_s = anyio.current_time() + self._policy.check_interval_s
        else:
            await self._watcher.glance()

    async def _pause(self) -> None:
        """Sleep until something was submitted or sent, or until the next look is due."""
        if not self.in_flight.payments and not self._unsigned and not self._unsignable:
            await self._wake.wait()
            # What is submitted now needs no check before it has been sent.
            self._check_due_s = anyio.current_time() + self._policy.check_interval_s
            return
        wait_s = self._check_due_s - anyio.current_time()
        if self.in_flight.signed():
            wait_s = min(wait_s, self._poll_wait_s)
            longer_s = self._poll_wait_s * self._policy.poll_growth
            self._poll_wait_s = min(longer_s, self._policy.poll_max_s)
        with anyio.move_on_after(wait_s):
            await self._wake.wait()

    async def _sign(self, room: int, senders: TaskGroup) -> None:
        """Sign new payments, store the bytes, and only then start to send them."""
        recent_prices = await self._recent_prices(room)
        blockhash = await self._rpc.latest_blockhash()
        # Before the file is read, so that what is submitted from here on is not overlooked.
        self._unsigned = False

        def sign(intent: Intent, dead_attempts: int, extra_units: int) -> SignedTransaction:
            terms = SigningTerms(blockhash, recent_prices, dead_attempts, extra_units)
            return self._sign_over(intent, terms)

        signed, problems = await self._store.call(lambda store: store.sign_new(room, sign))
        for payment in signed:
            self.in_flight.payments[payment.payment_id] = payment
            self._start_sending(payment, senders)
        if len(signed) == room:
            self._unsigned = True
        self.in_flight.note_unsigned(problems)
        self._unsignable = bool(problems)
        self._poll_wait_s = self._policy.poll_first_s

    async def _recent_prices(self, room: int) -> list[int]:
        """What going first cost lately on what the next payments write.

        One question for all of them: the dearest account of a round prices all of it.
        """
        if self._policy.fees.percentile is None:
            return []
        intents = await self._store.call(lambda store: store.unsigned(room))
        accounts = {
            account: None
            for intent in intents
            for account in writable_accounts(intent.instructions, intent.payer)
        }
        try:
            return await self._rpc.prioritization_fees(list(accounts)) if accounts else []
        except RpcRejected as error:
            # An endpoint without this method must not hold payments up: the lowest price is left.
            _log.warning("recent priority fees are unknown: %s", error)
            return []

    def _left(self, payment: Payment) -> None:
        # Room for another, or something to sign again: either is work for the next round.
        self._unsigned |= payment.state is PaymentState.NEW
        self._wake.set()

    def _start_sending(self, payment: Payment, senders: TaskGroup) -> None:
        # A send that is still under way is not joined by another: an endpoint that hangs would
        # collect them.
        if payment.payment_id not in self._sending:
            self._sending.add(payment.payment_id)
            senders.start_soon(self._send, payment)

    async def _send(self, payment: Payment) -> None:
        try:
            async with self._send_slots:
                await self._rpc.send_raw(payment.transaction.raw)
        except RpcError as error:
            # Says nothing about whether it lands; the next check sends again.
            self.in_flight.note(payment, str(error))
        finally:
            self._sending.discard(payment.payment_id)
            self._wake.set()


def _outage_wait_s(outages: int) -> float:
    """Doubles from 0.1 s; random, so that daemons cut off together do not return together."""
    longest_s = min(0.1 * 2 ** min(outages, 10), _OUTAGE_WAIT_MAX_S)
    return random.uniform(longest_s / 2, longest_s)
