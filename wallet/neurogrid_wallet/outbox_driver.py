"""The loop that carries payments out. ``outbox.py`` is its door; the rules are in ``payment.py``."""

import logging
import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

import anyio
import anyio.to_thread
from anyio.abc import TaskGroup

from neurogrid_wallet.chain import ChainPosition, Commitment
from neurogrid_wallet.errors import RpcError, RpcRejected
from neurogrid_wallet.fees import FeePolicy
from neurogrid_wallet.intent import Intent
from neurogrid_wallet.payment import (
    DECIDED,
    Landed,
    Missing,
    Payment,
    PaymentState,
    SignedTransaction,
    advance,
    is_dead,
    is_expired,
)
from neurogrid_wallet.payment_store import PaymentStore
from neurogrid_wallet.rpc import SIGNATURE_STATUSES_PER_CALL_MAX, Blockhash, Rpc
from neurogrid_wallet.second_endpoint import ask_second
from neurogrid_wallet.transactions import ComputeBudget, writable_accounts

T = TypeVar("T")


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


@dataclass(frozen=True, slots=True)
class OutboxPolicy:
    """How eagerly the outbox asks, and how much it holds.

    The defaults suit a local ledger or a node of one's own. A public endpoint allows 40 calls of
    one method in 10 s: give ``poll_first_s=0.5`` there.

    Attributes:
        compute: the budget of payments that bring none.
        poll_first_s: the wait before the first look at a new payment.
        poll_growth: each wait is this many times the one before.
        poll_max_s: the longest wait between looks while something may land at any moment.
        check_interval_s: how often everything undecided is looked at, and sent again.
        in_flight_max: how many signed payments may be undecided at a time.
        undecided_max: how many payments may wait in all; more are refused.
        sends_max: how many sends may be under way at a time.
        fees: what going first may cost.
        two_endpoints_from_micro_usdc: payments of at least this much are decided only when two
            endpoints agree; None: never.
    """

    compute: ComputeBudget = field(default_factory=ComputeBudget)
    poll_first_s: float = 0.005
    poll_growth: float = 1.5
    poll_max_s: float = 0.5
    check_interval_s: float = 2.0
    in_flight_max: int = 256
    undecided_max: int = 10_000
    sends_max: int = 8
    fees: FeePolicy = field(default_factory=FeePolicy)
    two_endpoints_from_micro_usdc: int | None = None


class StoreThread:
    """The store, used from worker threads, one call at a time."""

    def __init__(self, store: PaymentStore) -> None:
        self._store = store
        self._slot = anyio.CapacityLimiter(1)

    async def call(self, use: Callable[[PaymentStore], T]) -> T:
        """``use(store)`` in a thread. A cancelled caller still waits for it to end."""
        return await anyio.to_thread.run_sync(use, self._store, limiter=self._slot)


class Driver:
    """Everything that is signed and not decided, and the loop over it.

    Attributes:
        in_flight: by payment id, as stored.
    """

    def __init__(
        self,
        store: StoreThread,
        rpc: Rpc,
        sign_over: SignOver,
        policy: OutboxPolicy,
        second_rpc: Rpc | None = None,
    ) -> None:
        self.in_flight: dict[str, Payment] = {}
        self._store = store
        self._rpc = rpc
        self._second_rpc = second_rpc
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
        # By payment id: the latest problem; and what is set and dropped when the payment changes.
        self._problems: dict[str, str] = {}
        self._outage: str | None = None
        self._changes: dict[str, anyio.Event] = {}

    def submitted(self) -> None:
        """There is a new payment in the store."""
        self._unsigned = True
        self._wake.set()

    def change_of(self, payment_id: str) -> anyio.Event:
        """Is set when the payment changes next. Look at it after asking for this, not before."""
        return self._changes.setdefault(payment_id, anyio.Event())

    def changed(self, payment_id: str) -> None:
        """Wake whoever waits for this payment."""
        if change := self._changes.pop(payment_id, None):
            change.set()

    def problem_of(self, payment_id: str) -> str | None:
        """What last went wrong with an undecided payment, for people."""
        return self._problems.get(payment_id) or self._outage

    async def run(self) -> None:
        """Sign, send and watch, for ever; only cancellation ends it."""
        assert not self._running, "the outbox is run twice at the same time"
        self._running = True
        try:
            await self._run()
        finally:
            self._running = False

    async def _run(self) -> None:
        in_flight = await self._store.call(PaymentStore.in_flight)
        self.in_flight = {payment.payment_id: payment for payment in in_flight}
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
                    self._outage = str(error)
                    _log.warning("payments wait for the chain: %s", error)
                    await anyio.sleep(_outage_wait_s(outages))
                else:
                    outages = 0
                    self._outage = None
                    await self._pause()

    async def _round(self, senders: TaskGroup) -> None:
        room = self._policy.in_flight_max - len(self.in_flight)
        if self._unsigned and room > 0:
            await self._sign(room, senders)
        if anyio.current_time() >= self._check_due_s:
            await self._check(senders)
            self._check_due_s = anyio.current_time() + self._policy.check_interval_s
        else:
            await self._glance()

    async def _pause(self) -> None:
        """Sleep until something was submitted or sent, or until the next look is due."""
        if not self.in_flight and not self._unsigned and not self._unsignable:
            await self._wake.wait()
            # What is submitted now needs no check before it has been sent.
            self._check_due_s = anyio.current_time() + self._policy.check_interval_s
            return
        wait_s = self._check_due_s - anyio.current_time()
        if any(payment.state is PaymentState.SIGNED for payment in self.in_flight.values()):
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
            self.in_flight[payment.payment_id] = payment
            self._start_sending(payment, senders)
        if len(signed) == room:
            self._unsigned = True
        for payment_id, problem in problems.items():
            _log.error("payment %s waits: %s", payment_id, problem)
        self._problems |= problems
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

    async def _glance(self) -> None:
        """Ask whether what was sent has landed: cheap, and what is missing proves nothing."""
        signed = [
            payment for payment in self.in_flight.values() if payment.state is PaymentState.SIGNED
        ]
        for chunk in _chunks(signed):
            await self._look(chunk, search_history=False)

    async def _check(self, senders: TaskGroup) -> None:
        """Look at everything in flight: send again what is missing, bury what is dead."""
        self._unsigned |= self._unsignable
        if not self.in_flight:
            return
        # The height first and the statuses after it: payment.py says why.
        position = await self._rpc.position()
        expired: list[Payment] = []
        alive: list[Payment] = []
        for payment in self.in_flight.values():
            (expired if is_expired(_transaction(payment), position) else alive).append(payment)
        for chunk in _chunks(alive):
            missing, _ = await self._look(chunk, search_history=False)
            for payment in missing:
                self._start_sending(payment, senders)
        for chunk in _chunks(expired):
            await self._bury(chunk, position)

    async def _look(
        self, payments: Sequence[Payment], *, search_history: bool
    ) -> tuple[list[Payment], int]:
        """Ask one node what became of these payments, and record what landed.

        Returns: the payments it does not know, and the slot it has reached.
        """
        signatures = [_transaction(payment).signature for payment in payments]
        answer = await self._rpc.signature_statuses(signatures, search_history=search_history)
        landed, missing, large = [], [], []
        for payment, signature, status in zip(payments, signatures, answer.statuses, strict=True):
            if status is None:
                missing.append(payment)
            elif payment.two_endpoints and status.commitment is Commitment.FINALIZED:
                large.append((payment, Landed(signature, status)))
            else:
                landed.append(advance(payment, Landed(signature, status)))
        await self._record(landed + await self._seconded(large))
        return missing, answer.slot

    async def _seconded(self, large: Sequence[tuple[Payment, Landed]]) -> list[Payment]:
        """What becomes of these payments by what both endpoints say."""
        signatures = [event.signature for _, event in large]
        words = await ask_second(self._second_rpc, signatures, prove_missing=False)
        advanced = []
        for (payment, event), word in zip(large, words, strict=True):
            if problem := word.waits_because(event.status):
                self._note(payment, problem)
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
                self._note(payment, f"expired, and nobody can tell whether it landed: {error}")
            return
        events = [
            Missing(_transaction(payment).signature, position, answered_slot, known_from_slot)
            for payment in missing
        ]
        large = [
            event
            for payment, event in zip(missing, events, strict=True)
            if payment.two_endpoints and is_dead(_transaction(payment), event)
        ]
        signatures = [event.signature for event in large]
        words = dict(
            zip(
                signatures,
                await ask_second(self._second_rpc, signatures, prove_missing=True),
                strict=True,
            )
        )
        advanced = []
        for payment, event in zip(missing, events, strict=True):
            word = words.get(event.signature)
            second = None if word is None else word.missing
            advanced.append(advance(payment, replace(event, second=second)))
            disagreement = None if word is None else word.waits_because(None)
            if advanced[-1] is not payment:
                self._note(payment, f"attempt {payment.attempts} expired without landing")
            else:
                unproven = "expired, and this endpoint cannot prove that it never landed"
                self._note(payment, disagreement or unproven)
        await self._record(advanced)

    async def _record(self, payments: Sequence[Payment]) -> None:
        """Store what has changed, then let it be known."""
        changed = [
            payment for payment in payments if payment is not self.in_flight[payment.payment_id]
        ]
        if not changed:
            return
        await self._store.call(lambda store: store.save(changed))
        for payment in changed:
            if payment.state in (PaymentState.SIGNED, PaymentState.CONFIRMED):
                self.in_flight[payment.payment_id] = payment
            else:
                # Room for another, or something to sign again: either is work for the next round.
                del self.in_flight[payment.payment_id]
                self._unsigned |= payment.state is PaymentState.NEW
                self._wake.set()
            if payment.state in DECIDED:
                self._problems.pop(payment.payment_id, None)
            if payment.state is PaymentState.FAILED:
                _log.warning("payment %s failed: %s", payment.payment_id, payment.failure)
            self.changed(payment.payment_id)

    def _start_sending(self, payment: Payment, senders: TaskGroup) -> None:
        # A send that is still under way is not joined by another: an endpoint that hangs would
        # collect them.
        if payment.payment_id not in self._sending:
            self._sending.add(payment.payment_id)
            senders.start_soon(self._send, payment)

    async def _send(self, payment: Payment) -> None:
        try:
            async with self._send_slots:
                await self._rpc.send_raw(_transaction(payment).raw)
        except RpcError as error:
            # Says nothing about whether it lands; the next check sends again.
            self._note(payment, str(error))
        finally:
            self._sending.discard(payment.payment_id)
            self._wake.set()

    def _note(self, payment: Payment, problem: str) -> None:
        """Keep the latest problem for whoever waits, and log it once."""
        if self._problems.get(payment.payment_id) != problem:
            self._problems[payment.payment_id] = problem
            _log.warning("payment %s: %s", payment.payment_id, problem)


def _transaction(payment: Payment) -> SignedTransaction:
    assert payment.signed is not None, "what is in flight is signed"
    return payment.signed


def _chunks(payments: Iterable[Payment]) -> Iterator[list[Payment]]:
    """As many at a time as one status call takes."""
    remaining = list(payments)
    for start in range(0, len(remaining), SIGNATURE_STATUSES_PER_CALL_MAX):
        yield remaining[start : start + SIGNATURE_STATUSES_PER_CALL_MAX]


def _outage_wait_s(outages: int) -> float:
    """Doubles from 0.1 s; random, so that daemons cut off together do not return together."""
    longest_s = min(0.1 * 2 ** min(outages, 10), _OUTAGE_WAIT_MAX_S)
    return random.uniform(longest_s / 2, longest_s)
