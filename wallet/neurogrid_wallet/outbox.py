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

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Self

import anyio
import anyio.to_thread
from solders.address_lookup_table_account import AddressLookupTableAccount
from solders.hash import Hash
from solders.instruction import Instruction
from solders.pubkey import Pubkey

from neurogrid_wallet.errors import (
    PaymentFailed,
    PaymentTimeout,
    PaymentUnknown,
    RpcError,
    SecondEndpointMissing,
)
from neurogrid_wallet.fees import budget_for_attempt, limit_with_margin
from neurogrid_wallet.intent import Intent
from neurogrid_wallet.outbox_driver import Driver, SigningTerms
from neurogrid_wallet.outbox_policy import OutboxPolicy
from neurogrid_wallet.payment import DECIDED, Payment, PaymentState, SignedTransaction
from neurogrid_wallet.payment_store import PaymentDatabase, PaymentStore, StoreThread
from neurogrid_wallet.rpc import Rpc
from neurogrid_wallet.transactions import (
    ComputeBudget,
    SignerSource,
    build_transaction,
    required_signers,
    sets_compute_budget,
    signature_of,
)

__all__ = ["Outbox", "OutboxPolicy", "Payment", "PaymentState"]

# An id is a name, not a document; the longest of ours is a task id with a purpose.
PAYMENT_ID_LENGTH_MAX = 200


class Outbox:
    """The one owner of a file of payments, and the loop that carries them out."""

    def __init__(
        self,
        place: Path | PaymentDatabase,
        *,
        rpc: Rpc,
        signers: SignerSource,
        policy: OutboxPolicy | None = None,
        second_rpc: Rpc | None = None,
    ) -> None:
        """
        Args:
            place: the SQLite file, created where there is none; or a database, given up at the end.
            rpc: open, and open for as long as the outbox is.
            signers: gives the keys for addresses that have to sign, also after a restart; called
                in a worker thread.
            policy: pace and limits; by default those for a local ledger.
            second_rpc: another, independent endpoint, open as long; asked about large payments.

        Raises:
            ValueError: both endpoints are the same.
        """
        if second_rpc is not None and second_rpc.url == rpc.url:
            raise ValueError("the second endpoint is the first one: it would always agree")
        self._place = place
        self._rpc = rpc
        self._signers = signers
        self._policy = policy or OutboxPolicy()
        self._second_rpc = second_rpc

    async def __aenter__(self) -> Self:
        """Open the file.

        Raises:
            OutboxInUse: it has another owner.
            OutboxCorrupt: it is something else.
        """
        self._store = StoreThread(await anyio.to_thread.run_sync(PaymentStore, self._place))
        self._driver = Driver(
            self._store, self._rpc, self._sign_over, self._policy, self._second_rpc
        )
        return self

    async def __aexit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with anyio.CancelScope(shield=True):
            await self._store.call(PaymentStore.close)

    async def submit(
        self,
        payment_id: str,
        instructions: Sequence[Instruction],
        payer: Pubkey,
        *,
        compute: ComputeBudget | None = None,
        lookup_tables: Sequence[AddressLookupTableAccount] = (),
        worth_micro_usdc: int = 0,
    ) -> Payment:
        """Store a payment; from now on it will be carried out once, whatever happens.

        Submitting the same thing again under the same id returns the payment as it is.

        Args:
            payment_id: the caller's name for it, up to 200 characters; choose it so that a
                restarted caller arrives at the same one.
            instructions: all of them happen or none; without compute budget instructions.
            payer: pays the fee.
            compute: the budget; by default the policy's.
            worth_micro_usdc: how much it moves; from the policy's limit on, two endpoints decide.

        Raises:
            SecondEndpointMissing: it moves so much, and there is one endpoint.
            PaymentConflict: the id already names a payment of something else.
            SignerMissing, TransactionTooLarge, TransactionInvalid: it could never be sent.
            OutboxFull: too many payments are undecided.
        """
        if not 0 < len(payment_id) <= PAYMENT_ID_LENGTH_MAX:
            raise ValueError(f"a payment id has 1 to {PAYMENT_ID_LENGTH_MAX} characters")
        if sets_compute_budget(instructions):
            raise ValueError("the compute budget is given as `compute`, not as an instruction")
        two_endpoints_from = self._policy.two_endpoints_from_micro_usdc
        large = two_endpoints_from is not None and worth_micro_usdc >= two_endpoints_from
        if large and self._second_rpc is None:
            raise SecondEndpointMissing(
                f"payment {payment_id} is so large that two endpoints have to agree on it: "
                "configure a second one"
            )
        budget = compute or self._policy.compute
        intent = Intent(payer, tuple(instructions), tuple(lookup_tables), budget)
        if compute is None and self._policy.fees.limit_margin_percent is not None:
            intent = await self._measured(intent, self._policy.fees.limit_margin_percent)

        def add(store: PaymentStore) -> Payment:
            # Tried now, while somebody is there to hear that it cannot be signed or is too large.
            self._build(intent, intent.compute, 0, Hash.default())
            return store.add(payment_id, intent, self._policy.undecided_max, two_endpoints=large)

        payment = await self._store.call(add)
        if payment.state is PaymentState.NEW:
            self._driver.submitted()
        return payment

    async def run(self) -> None:
        """Carry the payments out, for ever; start it once, in a task group, and cancel it to stop.

        It may be cancelled at any moment and started again: everything it needs is in the file.
        """
        await self._driver.run()

    async def get(self, payment_id: str) -> Payment | None:
        """The payment with this id, as far as is known."""
        in_flight = self._driver.in_flight.payments.get(payment_id)
        return in_flight or await self._store.call(lambda store: store.get(payment_id))

    async def confirmed(self, payment_id: str, timeout_s: float) -> Payment:
        """Wait until the payment has landed in a block that two thirds of the stake voted for.

        One that needs two endpoints has landed when both call it final: one alone may lie.

        Raises:
            PaymentFailed: it landed and moved nothing, or can never land.
            PaymentTimeout: not yet; it may still land.
            PaymentUnknown: nothing was submitted under this id.
        """
        large = (await self._known(payment_id)).two_endpoints
        landed = DECIDED if large else DECIDED | {PaymentState.CONFIRMED}
        return await self._reached(payment_id, landed, timeout_s)

    async def finalized(self, payment_id: str, timeout_s: float) -> Payment:
        """Wait until the payment has succeeded for ever; raises as ``confirmed`` does."""
        return await self._reached(payment_id, DECIDED, timeout_s)

    async def undecided(self) -> int:
        """How many payments are not decided yet."""
        return await self._store.call(PaymentStore.count_undecided)

    async def undecided_ids(self) -> list[str]:
        """The payments that are not decided yet, oldest first."""
        return await self._store.call(PaymentStore.undecided_ids)

    async def forget(self, payment_id: str) -> bool:
        """Delete one decided payment, so that its id may be paid again; False where there is none."""
        return await self._store.call(lambda store: store.forget(payment_id))

    async def forget_decided(self, before_s: float, kept_max: int | None = None) -> int:
        """Delete what was decided before this Unix time, and return how many that were.

        A deleted id is unknown again: whoever submits it pays a second time. Keep them for longer
        than any caller may repeat itself.

        Args:
            kept_max: how many decided payments stay of the rest, the newest; None: all.
        """
        return await self._store.call(lambda store: store.forget_decided(before_s, kept_max))

    async def _reached(
        self, payment_id: str, states: frozenset[PaymentState], timeout_s: float
    ) -> Payment:
        payment = await self._known(payment_id)
        with anyio.move_on_after(timeout_s):
            while payment.state not in states:
                change = self._driver.in_flight.change_of(payment_id)
                payment = await self._known(payment_id)
                if payment.state not in states:
                    await change.wait()
        if payment.state in DECIDED:
            # Nothing will change any more, so whatever was asked for above is answered now.
            self._driver.in_flight.changed(payment_id)
        if payment.state not in states:
            raise PaymentTimeout(payment, timeout_s, self._driver.in_flight.problem_of(payment_id))
        if payment.failure is not None:
            raise PaymentFailed(payment)
        return payment

    async def _known(self, payment_id: str) -> Payment:
        payment = await self.get(payment_id)
        if payment is None:
            raise PaymentUnknown(payment_id, "never submitted")
        return payment

    async def _measured(self, intent: Intent, margin_percent: int) -> Intent:
        """The intent with the limit that a simulation suggests; as it is where that says nothing."""
        raw = await anyio.to_thread.run_sync(self._build, intent, intent.compute, 0, Hash.default())
        try:
            simulation = await self._rpc.simulate(raw)
        except RpcError:
            return intent
        if simulation.failure is not None or not simulation.units_consumed:
            return intent
        limit = limit_with_margin(simulation.units_consumed, margin_percent)
        return replace(intent, compute=replace(intent.compute, unit_limit=limit))

    def _sign_over(self, intent: Intent, terms: SigningTerms) -> SignedTransaction:
        budget = budget_for_attempt(
            self._policy.fees,
            intent.compute,
            terms.recent_prices,
            dead_attempts=terms.dead_attempts,
            extra_units=terms.extra_units,
        )
        blockhash = terms.blockhash
        raw = self._build(intent, budget, terms.extra_units, blockhash.blockhash)
        return SignedTransaction(
            raw, signature_of(raw), blockhash.last_valid_block_height, blockhash.slot
        )

    def _build(
        self, intent: Intent, budget: ComputeBudget, extra_units: int, blockhash: Hash
    ) -> bytes:
        return build_transaction(
            budget.around(intent.instructions, extra_units),
            intent.payer,
            self._signers(required_signers(intent.instructions, intent.payer)),
            blockhash,
            lookup_tables=intent.lookup_tables,
        )
