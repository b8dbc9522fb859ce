"""Many payments at once, each exactly once: a run of batches through the outbox.

    run = PayoutRun("november", payouts, one_after_the_other, outbox=outbox, payer=payer, path=path)
    for outcome in await run.pay_all():
        ...

Who is in which batch is decided once and is on disk before anything is submitted: a restarted caller
gives the same payments under the same name and arrives at the same transactions, whatever it would
plan today. A batch that fails moved nothing; it is divided, and the payment to blame is tried alone
and reported, so that it keeps none of the others.
"""

import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Generic

import anyio
import anyio.to_thread
from solders.address_lookup_table_account import AddressLookupTableAccount
from solders.pubkey import Pubkey

from neurogrid_wallet.batches import Assemble, Assembled, P, Span, culprit, divide, plan, unit_limit
from neurogrid_wallet.chain import TransactionFailure
from neurogrid_wallet.errors import OutboxCorrupt, PaymentFailed, PaymentTimeout, PayoutRunConflict
from neurogrid_wallet.outbox import Outbox
from neurogrid_wallet.payment import Payment
from neurogrid_wallet.stored_json import read_json, write_json
from neurogrid_wallet.transactions import ComputeBudget

_log = logging.getLogger(__name__)

PAYOUTS_MAX = 10_000
"""Payments in one run; the outbox holds as many undecided payments."""
RUN_ID_LENGTH_MAX = 100
_FINALIZED_S = 60.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one payment, for ever.

    Attributes:
        transaction: signature of the transaction that it was in last; None if none ever landed.
        failure: why it moved nothing; None if it was paid.
    """

    payout_id: str
    transaction: str | None
    failure: TransactionFailure | None


@dataclass(frozen=True, slots=True)
class _Stored:
    """A run's file.

    Attributes:
        spans: the batches, in order.
        outcomes: once all are decided.
    """

    spans: list[Span]
    lookup_tables: list[AddressLookupTableAccount]
    outcomes: list[Outcome] | None


class PayoutRun(Generic[P]):
    """The payments of one run."""

    def __init__(
        self,
        run_id: str,
        payouts: Sequence[P],
        assemble: Assemble[P],
        *,
        outbox: Outbox,
        payer: Pubkey,
        path: Path,
        lookup_tables: Sequence[AddressLookupTableAccount] = (),
        unit_price_micro_lamports: int = 0,
    ) -> None:
        """
        Args:
            run_id: the caller's name for the run; the same after a restart, another for every other
                run.
            payouts: in order; ids must differ.
            assemble: makes a batch's instructions.
            payer: pays the fees.
            path: the file that remembers who is in which batch.
            lookup_tables: usable now, and until the run has ended.

        Raises:
            ValueError: the id is too long, there are too many payments, or an id comes twice.
        """
        if not 0 < len(run_id) <= RUN_ID_LENGTH_MAX:
            raise ValueError(f"a run's id has 1 to {RUN_ID_LENGTH_MAX} characters")
        if len(payouts) > PAYOUTS_MAX:
            raise ValueError(f"a run has at most {PAYOUTS_MAX} payments, not {len(payouts)}")
        if len({payout.payout_id for payout in payouts}) < len(payouts):
            raise ValueError("a payment's id comes twice")
        self._run_id = run_id
        self._payouts = payouts
        self._assemble = assemble
        self._outbox = outbox
        self._payer = payer
        self._path = path
        self._tables = lookup_tables
        self._price = unit_price_micro_lamports

    async def pay_all(self) -> list[Outcome]:
        """Pay everybody, and wait until every payment is decided; the outcomes, in order.

        May be cancelled, or killed, at any moment, and called again.

        Raises:
            PayoutTooLarge: a payment fits no transaction; nothing was paid.
            PayoutRunConflict: the name was used for other payments; nothing more was paid.
            PaymentConflict: it was used for payments of the same ids and other amounts.
            SignerMissing, SecondEndpointMissing, OutboxFull: some may be paid already, and nobody
                twice: call again when that is mended.
            OutboxCorrupt: the file is something else.
        """
        stored = await anyio.to_thread.run_sync(self._load)
        if stored.outcomes is not None:
            return stored.outcomes
        # At first all are only submitted, so that what is wrong with one is raised here and as such.
        for span in stored.spans:
            await self._submit(span, stored.lookup_tables)
        outcomes: dict[int, Outcome] = {}
        async with anyio.create_task_group() as tasks:
            for span in stored.spans:
                tasks.start_soon(self._settle, span, stored.lookup_tables, outcomes)
        in_order = [outcomes[position] for position in range(len(self._payouts))]
        # The outbox forgets one day; whoever asks again then must not be paid again.
        await anyio.to_thread.run_sync(self._save, replace(stored, outcomes=in_order))
        return in_order

    async def _settle(
        self,
        span: Span,
        tables: Sequence[AddressLookupTableAccount],
        outcomes: dict[int, Outcome],
    ) -> None:
        """Pay a batch, or what it is divided into."""
        waiting = [span]
        while waiting:
            span = waiting.pop(0)
            payment_id, assembled = await self._submit(span, tables)
            payment = await self._decided(payment_id)
            failure = payment.failure
            payouts = self._payouts[span.first : span.last + 1]
            # A transaction that failed before its instructions, or never landed, has no culprit among
            # them (its payer has no SOL): its parts would fail alike, one after the other.
            is_theirs = failure is not None and failure.instruction_index is not None
            if failure is not None and is_theirs and len(payouts) > 1:
                guilty = culprit(failure, assembled)
                waiting = divide(span, guilty) + waiting
                _log.warning("%s failed (%s) and is divided", payment_id, failure)
                continue
            for position, payout in enumerate(payouts, span.first):
                outcomes[position] = Outcome(payout.payout_id, payment.signature, failure)

    async def _submit(
        self, span: Span, tables: Sequence[AddressLookupTableAccount]
    ) -> tuple[str, Assembled]:
        payouts = self._payouts[span.first : span.last + 1]
        assembled = self._assemble(payouts)
        payment_id = f"{self._run_id}/{span}"
        await self._outbox.submit(
            payment_id,
            assembled.instructions,
            self._payer,
            compute=ComputeBudget(unit_limit(payouts), self._price),
            lookup_tables=tables,
            worth_micro_usdc=sum(payout.worth_micro_usdc for payout in payouts),
        )
        return payment_id, assembled

    async def _decided(self, payment_id: str) -> Payment:
        while True:
            try:
                return await self._outbox.finalized(payment_id, _FINALIZED_S)
            except PaymentFailed as error:
                return error.payment
            except PaymentTimeout as error:
                _log.warning("%s", error)

    def _load(self) -> _Stored:
        """The run as stored; planned and stored now where it is new."""
        ids = [payout.payout_id for payout in self._payouts]
        value = read_json(self._path)
        if value is None:
            spans = plan(self._payouts, self._assemble, self._payer, self._tables)
            stored = _Stored(spans, list(self._tables), None)
            self._save(stored)
            return stored
        try:
            in_file = [payout_id for batch in value["batches"] for payout_id in batch]
            if (value["run_id"], in_file) != (self._run_id, ids):
                raise PayoutRunConflict(self._run_id)
            return _decode(value)
        except (KeyError, TypeError, ValueError) as error:
            raise OutboxCorrupt(f"{self._path} is no run of payments: {error!r}") from error

    def _save(self, stored: _Stored) -> None:
        ids = [payout.payout_id for payout in self._payouts]
        value: dict[str, Any] = {
            "run_id": self._run_id,
            "lookup_tables": [
                {"key": str(table.key), "addresses": [str(entry) for entry in table.addresses]}
                for table in stored.lookup_tables
            ],
            "batches": [ids[span.first : span.last + 1] for span in stored.spans],
        }
        if stored.outcomes is not None:
            value["outcomes"] = [asdict(outcome) for outcome in stored.outcomes]
        write_json(self._path, value)


def _decode(value: Any) -> _Stored:
    """Read a run's file, whose ids are checked already."""
    spans, first = [], 0
    for batch in value["batches"]:
        spans.append(Span(first, first + len(batch) - 1))
        first += len(batch)
    tables = [
        AddressLookupTableAccount(
            Pubkey.from_string(table["key"]),
            [Pubkey.from_string(entry) for entry in table["addresses"]],
        )
        for table in value["lookup_tables"]
    ]
    outcomes = None
    if "outcomes" in value:
        outcomes = [
            Outcome(
                entry["payout_id"],
                entry["transaction"],
                None if entry["failure"] is None else TransactionFailure(**entry["failure"]),
            )
            for entry in value["outcomes"]
        ]
    return _Stored(spans, tables, outcomes)
