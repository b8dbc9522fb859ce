"""Payments that happen exactly once, across crashes, lost replies and a chain that is away.

    async with Rpc(url) as rpc, Outbox(path, rpc=rpc, signers=signers_from([key])) as outbox:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(outbox.run)
            await outbox.submit("release-42", instructions, payer)
            payment = await outbox.confirmed("release-42", timeout_s=30)

``submit`` stores what is to be paid. ``run`` signs it, stores the signed bytes, and only then sends
them; it sends the same bytes until they are final or provably dead, and signs anew only then. The
rules are in ``payment.py``, the file in ``payment_store.py``. Works on trio and on asyncio.
"""

import logging
import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

import anyio
import anyio.to_thread
from anyio.abc import TaskGroup
from solders.address_lookup_table_account import AddressLookupTableAccount
from solders.hash import Hash
from solders.instruction import Instruction
from solders.pubkey import Pubkey

from neurogrid_wallet.chain import ChainPosition
from neurogrid_wallet.errors import PaymentFailed, PaymentTimeout, PaymentUnknown, RpcError
from neurogrid_wallet.intent import Intent
from neurogrid_wallet.payment import (
    DECIDED,
    Landed,
    Missing,
    Payment,
    PaymentState,
    SignedTransaction,
    advance,
    is_expired,
)
from neurogrid_wallet.payment_store import PaymentStore
from neurogrid_wallet.rpc import SIGNATURE_STATUSES_PER_CALL_MAX, Blockhash, Rpc
from neurogrid_wallet.transactions import (
    ComputeBudget,
    SignerSource,
    build_transaction,
    required_signers,
    sets_compute_budget,
    signature_of,
)

T = TypeVar("T")

_log = logging.getLogger(__name__)

# An id is a name, not a document; the longest of ours is a task id with a purpose.
PAYMENT_ID_LENGTH_MAX = 200

# The wait after an endpoint gave no answer, at most; a chain that is away for an hour costs 360
# calls.
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
    """

    compute: ComputeBudget = field(default_factory=ComputeBudget)
    poll_first_s: float = 0.005
    poll_growth: float = 1.5
    poll_max_s: float = 0.5
    check_interval_s: float = 2.0
    in_flight_max: int = 256
    undecided_max: int = 10_000
    sends_max: int = 8


class Outbox:
    """The one owner of a file of payments, and the loop that carries them out."""

    def __init__(
        self,
        path: Path,
        *,
        rpc: Rpc,
        signers: SignerSource,
        policy: OutboxPolicy = OutboxPolicy(),
    ) -> None:
        """
        Args:
            path: the SQLite file, created where there is none.
            rpc: open, and open for as long as the outbox is.
            signers: gives the keys for addresses that have to sign, also after a restart; called
                in a worker thread.
        """
        self._path = path
        self._rpc = rpc
        self._signers = signers
        self._policy = policy
        # Created in __aenter__: what follows belongs to one event loop.
        self._store: PaymentStore
        self._store_slot: anyio.CapacityLimiter  # one: no two threads use the store at once
        self._send_slots: anyio.CapacityLimiter
        self._in_flight: dict[str, Payment]  # signed and not decided, as stored
        self._sending: set[str]
        self._problems: dict[str, str]  # by payment id, the latest one
        self._outage: str | None  # why the chain does not answer
        self._changed: dict[str, anyio.Event]  # by payment id, set and dropped when it changes
        self._wake: anyio.Event  # something was submitted or sent
        self._unsigned: bool  # there may be new payments to sign
        self._unsignable: bool  # there are some that could not be signed
        self._poll_wait_s: float
        self._check_due_s: float

    async def __aenter__(self) -> Self:
        """Open the file.

        Raises:
            OutboxInUse: it has another owner.
            OutboxCorrupt: it is something else.
        """
        self._store_slot = anyio.CapacityLimiter(1)
        self._send_slots = anyio.CapacityLimiter(self._policy.sends_max)
        self._store = await self._in_thread(lambda: PaymentStore(self._path))
        self._in_flight = {}
        self._sending = set()
        self._problems = {}
        self._outage = None
        self._changed = {}
        self._wake = anyio.Event()
        self._unsigned = False
        self._unsignable = False
        self._poll_wait_s = self._policy.poll_first_s
        self._check_due_s = 0.0
        return self

    async def __aexit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with anyio.CancelScope(shield=True):
            await self._in_thread(self._store.close)

    async def submit(
        self,
        payment_id: str,
        instructions: Sequence[Instruction],
        payer: Pubkey,
        *,
        compute: ComputeBudget | None = None,
        lookup_tables: Sequence[AddressLookupTableAccount] = (),
    ) -> Payment:
        """Store a payment; from now on it will be carried out once, whatever happens.

        Submitting the same thing again under the same id returns the payment as it is.

        Args:
            payment_id: the caller's name for it, up to 200 characters; choose it so that a
                restarted caller arrives at the same one.
            instructions: all of them happen or none; without compute budget instructions.
            payer: pays the fee.
            compute: the budget; by default the policy's.

        Raises:
            PaymentConflict: the id already names a payment of something else.
            SignerMissing, TransactionTooLarge, TransactionInvalid: it could never be sent.
            OutboxFull: too many payments are undecided.
        """
        if not 0 < len(payment_id) <= PAYMENT_ID_LENGTH_MAX:
            raise ValueError(f"a payment id has 1 to {PAYMENT_ID_LENGTH_MAX} characters")
        if sets_compute_budget(instructions):
            raise ValueError("the compute budget is given as `compute`, not as an instruction")
        budget = compute or self._policy.compute
        intent = Intent(payer, tuple(instructions), tuple(lookup_tables), budget)

        def add() -> Payment:
            # Tried now, while somebody is there to hear that it cannot be signed or is too large.
            self._build(intent, 0, Hash.default())
            return self._store.add(payment_id, intent, self._policy.undecided_max)

        payment = await self._in_thread(add)
        if payment.state is PaymentState.NEW:
            self._unsigned = True
            self._wake.set()
        return payment

    async def get(self, payment_id: str) -> Payment | None:
        """The payment with this id, as far as is known."""
        return self._in_flight.get(payment_id) or await self._in_thread(
            lambda: self._store.get(payment_id)
        )

    async def confirmed(self, payment_id: str, timeout_s: float) -> Payment:
        """Wait until the payment has landed in a block that two thirds of the stake voted for.

        Raises:
            PaymentFailed: it landed and moved nothing, or can never land.
            PaymentTimeout: not yet; it may still land.
            PaymentUnknown: nothing was submitted under this id.
        """
        landed = DECIDED | {PaymentState.CONFIRMED}
        return await self._reached(payment_id, landed, timeout_s)

    async def finalized(self, payment_id: str, timeout_s: float) -> Payment:
        """Wait until the payment has succeeded for ever; raises as ``confirmed`` does."""
        return await self._reached(payment_id, DECIDED, timeout_s)

    async def undecided(self) -> int:
        """How many payments are not decided yet."""
        return await self._in_thread(self._store.count_undecided)

    async def forget_decided(self, before_s: float) -> int:
        """Delete what was decided before this Unix time, and return how many that were.

        A deleted id is unknown again: whoever submits it pays a second time. Keep them for longer
        than any caller may repeat itself.
        """
        return await self._in_thread(lambda: self._store.forget_decided(before_s))

    async def run(self) -> None:
        """Carry the payments out, for ever; start it once, in a task group, and cancel it to stop.

        It may be cancelled at any moment and started again: everything it needs is in the file.
        """
        in_flight = await self._in_thread(self._store.in_flight)
        self._in_flight = {payment.payment_id: payment for payment in in_flight}
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
        room = self._policy.in_flight_max - len(self._in_flight)
        if self._unsigned and room > 0:
            await self._sign(room, senders)
        if anyio.current_time() >= self._check_due_s:
            await self._check(senders)
            self._check_due_s = anyio.current_time() + self._policy.check_interval_s
        else:
            await self._glance()

    async def _pause(self) -> None:
        """Sleep until something was submitted or sent, or until the next look is due."""
        if not self._in_flight and not self._unsigned and not self._unsignable:
            await self._wake.wait()
            return
        wait_s = self._check_due_s - anyio.current_time()
        if any(payment.state is PaymentState.SIGNED for payment in self._in_flight.values()):
            wait_s = min(wait_s, self._poll_wait_s)
            longer_s = self._poll_wait_s * self._policy.poll_growth
            self._poll_wait_s = min(longer_s, self._policy.poll_max_s)
        with anyio.move_on_after(wait_s):
            await self._wake.wait()

    async def _sign(self, room: int, senders: TaskGroup) -> None:
        """Sign new payments, store the bytes, and only then start to send them."""
        blockhash = await self._rpc.latest_blockhash()
        # Before the file is read, so that what is submitted from here on is not overlooked.
        self._unsigned = False
        signed, problems = await self._in_thread(
            lambda: self._store.sign_new(
                room, lambda intent, extra: self._signed(intent, extra, blockhash)
            )
        )
        for payment in signed:
            self._in_flight[payment.payment_id] = payment
            self._start_sending(payment, senders)
        if len(signed) == room:
            self._unsigned = True
        for payment_id, problem in problems.items():
            _log.error("payment %s waits: %s", payment_id, problem)
        self._problems |= problems
        self._unsignable = bool(problems)
        self._poll_wait_s = self._policy.poll_first_s

    async def _glance(self) -> None:
        """Ask whether what was sent has landed: cheap, and what is missing proves nothing."""
        signed = [
            payment for payment in self._in_flight.values() if payment.state is PaymentState.SIGNED
        ]
        for chunk in _chunks(signed):
            await self._look(chunk, search_history=False)

    async def _check(self, senders: TaskGroup) -> None:
        """Look at everything in flight: send again what is missing, bury what is dead."""
        self._unsigned |= self._unsignable
        if not self._in_flight:
            return
        # The height first and the statuses after it: payment.py says why.
        position = await self._rpc.position()
        expired: list[Payment] = []
        alive: list[Payment] = []
        for payment in self._in_flight.values():
            (expired if is_expired(_transaction(payment), position) else alive).append(payment)
        for chunk in _chunks(alive):
            missing, _ = await self._look(chunk, search_history=False)
            for payment in missing:
                self._start_sending(payment, senders)
        for chunk in _chunks(expired):
            missing, answered_slot = await self._look(chunk, search_history=True)
            if missing:
                await self._bury(missing, position, answered_slot)

    async def _look(
        self, payments: Sequence[Payment], *, search_history: bool
    ) -> tuple[list[Payment], int]:
        """Ask one node what became of these payments, and record what landed.

        Returns: the payments it does not know, and the slot it has reached.
        """
        signatures = [_transaction(payment).signature for payment in payments]
        answer = await self._rpc.signature_statuses(signatures, search_history=search_history)
        landed, missing = [], []
        for payment, signature, status in zip(payments, signatures, answer.statuses, strict=True):
            if status is None:
                missing.append(payment)
            else:
                landed.append(advance(payment, Landed(signature, status)))
        await self._record(landed)
        return missing, answer.slot

    async def _bury(
        self, payments: Sequence[Payment], position: ChainPosition, answered_slot: int
    ) -> None:
        """Let those start over that can be proven dead; the others have to wait for proof."""
        known_from_slot = await self._rpc.first_available_slot()
        advanced = []
        for payment in payments:
            signature = _transaction(payment).signature
            missing = Missing(signature, position, answered_slot, known_from_slot)
            advanced.append(advance(payment, missing))
            if advanced[-1] is payment:
                self._note(payment, "expired, and this endpoint cannot prove that it never landed")
            else:
                self._note(payment, f"attempt {payment.attempts} expired without landing")
        await self._record(advanced)

    async def _record(self, payments: Sequence[Payment]) -> None:
        """Store what has changed, then let it be known."""
        changed = [
            payment for payment in payments if payment is not self._in_flight[payment.payment_id]
        ]
        if not changed:
            return
        await self._in_thread(lambda: self._store.save(changed))
        for payment in changed:
            if payment.state is PaymentState.NEW:
                self._unsigned = True
            if payment.state in DECIDED | {PaymentState.NEW}:
                del self._in_flight[payment.payment_id]
            else:
                self._in_flight[payment.payment_id] = payment
            if payment.state in DECIDED:
                self._problems.pop(payment.payment_id, None)
            if payment.state is PaymentState.FAILED:
                _log.warning("payment %s failed: %s", payment.payment_id, payment.failure)
            if changed_event := self._changed.pop(payment.payment_id, None):
                changed_event.set()

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

    async def _reached(
        self, payment_id: str, states: frozenset[PaymentState], timeout_s: float
    ) -> Payment:
        payment = await self._known(payment_id)
        with anyio.move_on_after(timeout_s):
            while payment.state not in states:
                changed = self._changed.setdefault(payment_id, anyio.Event())
                # Again, because it may have changed before the event was there.
                payment = await self._known(payment_id)
                if payment.state not in states:
                    await changed.wait()
        if payment.state in DECIDED and (left_over := self._changed.pop(payment_id, None)):
            left_over.set()
        if payment.state not in states:
            problem = self._problems.get(payment_id) or self._outage
            raise PaymentTimeout(payment, timeout_s, problem)
        if payment.failure is not None:
            raise PaymentFailed(payment)
        return payment

    async def _known(self, payment_id: str) -> Payment:
        payment = await self.get(payment_id)
        if payment is None:
            raise PaymentUnknown(payment_id, "never submitted")
        return payment

    def _signed(self, intent: Intent, extra_units: int, blockhash: Blockhash) -> SignedTransaction:
        raw = self._build(intent, extra_units, blockhash.blockhash)
        return SignedTransaction(
            raw, signature_of(raw), blockhash.last_valid_block_height, blockhash.slot
        )

    def _build(self, intent: Intent, extra_units: int, blockhash: Hash) -> bytes:
        return build_transaction(
            [*intent.compute.instructions(extra_units), *intent.instructions],
            intent.payer,
            self._signers(required_signers(intent.instructions, intent.payer)),
            blockhash,
            lookup_tables=intent.lookup_tables,
        )

    async def _in_thread(self, call: Callable[[], T]) -> T:
        return await anyio.to_thread.run_sync(call, limiter=self._store_slot)


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
