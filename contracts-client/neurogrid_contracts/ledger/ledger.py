"""The chain: what a transaction goes through, and what survives a restart.

Everything here runs on the owner thread. A transaction is executed in memory, committed to disk,
and only then reported; if the commit is in doubt the process must end (``Diverged``), because the
memory would then show a state that a restart takes back.
"""

import contextlib
import json
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum

from solders.account import Account
from solders.hash import Hash
from solders.pubkey import Pubkey
from solders.signature import Signature

from neurogrid_contracts.ledger import genesis, records, transactions
from neurogrid_contracts.ledger.config import BLOCKHASH_AGE_MAX_SLOTS, LedgerConfig
from neurogrid_contracts.ledger.errors import Diverged, RpcError, invalid_params
from neurogrid_contracts.ledger.events import Event, ForkEvent, SlotEvent, TransactionEvent
from neurogrid_contracts.ledger.faults import CALM, STALE_SLOTS_MAX, Disturbance
from neurogrid_contracts.ledger.store import Store, StoredTransaction
from neurogrid_contracts.ledger.svm import Execution, Simulation, Svm
from neurogrid_contracts.ledger.tokens import token_account

# Slots are promised to the disk this many at a time: an idle ledger writes once in 400 s.
_SLOTS_RESERVED = 1000
# History is trimmed at most this often and this much at a time, to stay short beside a slot.
_TRIM_EVERY_SLOTS = 50
_TRIM_TRANSACTIONS_MAX = 500
# Transactions of the last slots stay, whatever the limit: their blockhashes could still be alive.
_TRIM_KEEP_SLOTS = 2 * BLOCKHASH_AGE_MAX_SLOTS
# A leader's buffer of transactions is bounded too; beyond it the oldest are gone for good.
_LOST_MAX = 10_000
# Agave's MAX_LOCKOUT_HISTORY: a vote that deep is a root, and the count ends.
_CONFIRMATIONS_MAX = 31


class Commitment(Enum):
    """How settled the state is that a caller wants to see."""

    PROCESSED = "processed"
    CONFIRMED = "confirmed"
    FINALIZED = "finalized"


@dataclass(frozen=True, slots=True)
class Fork:
    """What a fork did: the slots it dropped and the transactions that were in them."""

    slot: int
    parent: int
    dropped: tuple[int, ...]
    signatures: tuple[Signature, ...]


class Ledger:
    """The chain's state in memory and on disk."""

    def __init__(
        self,
        config: LedgerConfig,
        *,
        publish: Callable[[Event], None] = lambda event: None,
        wall_clock_s: Callable[[], float] = time.time,
    ) -> None:
        """Open the ledger in ``config.data``, or create it there.

        Args:
            publish: called after each commit and each slot; must return at once.
            wall_clock_s: seconds since the epoch.
        Raises:
            LedgerError: the directory or a program file is not usable.
        """
        self._config = config
        self._publish = publish
        self._wall_clock_s = wall_clock_s
        self.store = Store(config.data / "ledger.sqlite", fsync=config.fsync)
        try:
            self.svm = Svm(past_slots=config.finality_slots + STALE_SLOTS_MAX)
            self.disturbance = CALM
            # What forks dropped and when it comes back.
            self._lost: deque[tuple[int, bytes]] = deque(maxlen=_LOST_MAX)
            self._time_offset_s = self._int_fact("time_offset_s")
            self._slots_promised = self._int_fact("slots_promised")
            self._next_id = self.store.last_id() + 1
            self._begin()
            self.genesis = genesis.load_or_create(self.store, self.svm, config.data)
            for address, account in self.store.accounts():
                self.svm.put_account(address, account)
        except BaseException:
            self.store.close()
            raise

    def _int_fact(self, name: str) -> int:
        value = self.store.fact(name)
        return value if isinstance(value, int) else 0

    def _begin(self) -> None:
        """Start so far ahead that no blockhash, nor its last valid height, is still to come."""
        first = self._slots_promised + BLOCKHASH_AGE_MAX_SLOTS + 1 if self._slots_promised else 1
        self.svm.unix_time = self.store.latest_unix_time()
        self._jump_to(first + self._config.finality_slots)

    def close(self) -> None:
        self.store.close()

    # Time.

    @property
    def slot(self) -> int:
        return self.svm.slot

    @property
    def slot_ms(self) -> int:
        """Length of a slot, milliseconds."""
        return self._config.slot_ms

    @contextlib.contextmanager
    def disturbed(self, disturbance: Disturbance) -> Iterator[None]:
        """Answer as a node of which this is true, until the end of the block."""
        self.disturbance = disturbance
        try:
            yield
        finally:
            self.disturbance = CALM

    def slot_at(self, commitment: Commitment) -> int:
        """The newest live slot that is as settled as ``commitment`` asks."""
        depth = {
            Commitment.PROCESSED: 0,
            Commitment.CONFIRMED: self._config.confirmation_slots,
            Commitment.FINALIZED: self._config.finality_slots,
        }[commitment]
        return self.svm.past.newest_until(self.svm.slot - self.disturbance.lag_slots - depth)

    def commitment_of(self, slot: int) -> Commitment:
        """How settled a transaction of ``slot`` is."""
        for commitment in (Commitment.FINALIZED, Commitment.CONFIRMED):
            if slot <= self.slot_at(commitment):
                return commitment
        return Commitment.PROCESSED

    def confirmations_of(self, slot: int) -> int:
        """How many confirmed blocks stand on top of ``slot``; what votes count on a cluster."""
        confirmed = self.slot_at(Commitment.CONFIRMED)
        return min(len(self.svm.past.live_between(slot, confirmed)), _CONFIRMATIONS_MAX)

    def blockhash_at(self, commitment: Commitment) -> tuple[Hash, int]:
        """A blockhash to sign with, and the last block height at which it is valid."""
        slot = self.slot_at(commitment)
        return self.svm.past.blockhash_of(slot), slot + BLOCKHASH_AGE_MAX_SLOTS

    def knows_blockhash(self, blockhash: Hash, commitment: Commitment) -> bool:
        """Whether it is alive, and not younger than what ``commitment`` shows."""
        born = self.svm.past.slot_of(blockhash)
        if born is None or self.disturbance.forgets_blockhashes:
            return False
        return born <= self.slot_at(commitment)

    def account(self, address: Pubkey, commitment: Commitment) -> Account | None:
        return self.svm.account(address, slot=self.slot_at(commitment))

    def program_accounts(
        self, program: Pubkey, commitment: Commitment
    ) -> list[tuple[Pubkey, Account]]:
        """Every account that ``program`` owns, in the order of the addresses."""
        return self.svm.program_accounts(program, slot=self.slot_at(commitment))

    def tick(self) -> None:
        """Begin the next slot."""
        self._advance_to(self.svm.slot + 1)
        self._return_lost()
        surplus_id = self._next_id - 1 - self._config.history_max
        if surplus_id > 0 and self.svm.slot % _TRIM_EVERY_SLOTS == 0:
            self.store.forget(
                id_max=surplus_id,
                slot_max=self.svm.slot - _TRIM_KEEP_SLOTS,
                limit=_TRIM_TRANSACTIONS_MAX,
            )

    def warp(self, *, seconds: int, slots: int) -> None:
        """Move the clock forward. What is pending becomes final; old blockhashes die as usual."""
        time_offset_s = self._time_offset_s + seconds
        self.store.put(facts=[("time_offset_s", time_offset_s)])
        self._time_offset_s = time_offset_s
        self._jump_to(self.svm.slot + slots)

    def _jump_to(self, slot: int) -> None:
        """Leave out the slots between, but for the last: a finalized blockhash has to exist."""
        for each in range(max(slot - self._config.finality_slots, self.svm.slot + 1), slot + 1):
            self._advance_to(each)

    def _advance_to(self, slot: int) -> None:
        if slot > self._slots_promised:
            # First on disk, then in use: after a crash no slot may come a second time.
            promised = slot + _SLOTS_RESERVED
            self.store.put(facts=[("slots_promised", promised)])
            self._slots_promised = promised
        parent = self.svm.past.newest_until(slot)
        self.svm.advance(slot, int(self._wall_clock_s()) + self._time_offset_s)
        self._publish(
            SlotEvent(
                slot,
                parent,
                confirmed=self.slot_at(Commitment.CONFIRMED),
                root=self.slot_at(Commitment.FINALIZED),
            )
        )

    # Forks.

    def fork(self, *, slots: int, return_after_slots: int | None) -> Fork:
        """Drop the newest ``slots`` live slots and go on from the one before them.

        As when a cluster abandons a minority's branch: their transactions never happened, their
        blockhashes are unknown, the accounts are what they were. On disk before this returns.

        Args:
            slots: at least 1, and none that is final.
            return_after_slots: how many slots after the new one the lost transactions come in
                again, as those of a leader's buffer do, if their blockhashes still live; None:
                only those that somebody sends again.
        Raises:
            RpcError: a slot that is final would have to go.
            Diverged: the commit is in doubt.
        """
        past = self.svm.past
        droppable = past.live_between(self.slot_at(Commitment.FINALIZED), self.svm.slot)
        if slots > len(droppable):
            raise invalid_params(f"slots: only {len(droppable)} slots are not final yet")
        dropped = droppable[-slots:]
        parent = past.newest_until(dropped[0] - 1)
        reverted = past.changed_since(parent)
        lost = self.store.transactions_after(parent)
        try:
            self.store.fork(parent, reverted)
            self.svm.rewind(parent)
        except BaseException as error:
            raise Diverged(f"the slots after {parent} were dropped in part") from error
        self._next_id = self.store.last_id() + 1
        slot = self.svm.slot + 1
        self._publish(ForkEvent(slot, parent, reverted, self._mints_of(reverted)))
        self._advance_to(slot)
        if return_after_slots is not None:
            due = slot + return_after_slots
            self._lost.extend((due, transaction.raw) for transaction in lost)
            self._return_lost()
        return Fork(slot, parent, tuple(dropped), tuple(each.signature for each in lost))

    def _return_lost(self) -> None:
        due = [raw for slot, raw in self._lost if slot <= self.svm.slot]
        if not due:
            return
        waiting = ((slot, raw) for slot, raw in self._lost if slot > self.svm.slot)
        self._lost = deque(waiting, maxlen=_LOST_MAX)
        for raw in due:
            self.send(raw, skip_preflight=True)

    # Programs.

    def install_program(self, program: Pubkey, elf: bytes) -> None:
        """Put a program at an address, in place of what is there; its authority is the faucet.

        Raises:
            ProgramInvalid: the SVM does not accept it.
        """
        images = self.svm.program_images(program, elf, self.genesis.faucet.pubkey())
        self.store.put(accounts=images)
        for address, account in images:
            self.svm.put_account(address, account)

    # Transactions.

    def send(
        self,
        raw: bytes,
        *,
        skip_preflight: bool = False,
        preflight_commitment: Commitment = Commitment.FINALIZED,
    ) -> Signature:
        """Take a transaction as ``sendTransaction`` does; on disk before this returns.

        Without preflight, a transaction that a cluster would drop is dropped in silence.

        Raises:
            RpcError: it is malformed, or the preflight refuses it.
            Diverged: it ran but its commit is in doubt.
        """
        decoded = transactions.decode(raw)
        transactions.verify(decoded)
        message_hash = transactions.message_hash(decoded)
        # Without preflight the leader decides, and it sees the newest state.
        commitment = Commitment.PROCESSED if skip_preflight else preflight_commitment
        refusal = self._refusal(decoded, message_hash, commitment)
        if refusal is not None:
            if skip_preflight:
                return decoded.signature
            raise transactions.preflight_failure(refusal, logs=[], units=0)
        try:
            accounts = transactions.resolve(decoded.message, self.svm.account)
        except RpcError:
            if skip_preflight:
                return decoded.signature
            raise
        if not skip_preflight:
            simulation = self.svm.simulate(decoded.transaction)
            if simulation.error is not None:
                raise transactions.preflight_failure(
                    simulation.error,
                    logs=simulation.metadata.logs(),
                    units=simulation.metadata.compute_units_consumed(),
                )
        if not self.disturbance.swallows:
            self._execute(decoded, message_hash, accounts)
        return decoded.signature

    def _refusal(
        self, decoded: transactions.Decoded, message_hash: bytes, commitment: Commitment
    ) -> str | None:
        """The error of a transaction that must not run: it ran before, or it is out of date."""
        if self.store.knows(decoded.signature, message_hash):
            return "AlreadyProcessed"
        if not self.is_current(decoded, commitment):
            return "BlockhashNotFound"
        return None

    def is_current(self, decoded: transactions.Decoded, commitment: Commitment) -> bool:
        """Whether its blockhash is recent, or its durable nonce stands.

        A blockhash younger than ``commitment`` shows is unknown there, as on a real node.
        """
        if self.svm.past.slot_of(decoded.blockhash) is not None:
            return self.knows_blockhash(decoded.blockhash, commitment)
        nonce = transactions.durable_nonce(decoded)
        return nonce is not None and self.svm.nonce_usable(nonce[0], decoded.blockhash, nonce[1])

    def _execute(
        self,
        decoded: transactions.Decoded,
        message_hash: bytes,
        accounts: transactions.AccountKeys,
    ) -> None:
        nonce = None
        if self.svm.past.slot_of(decoded.blockhash) is None:
            nonce = transactions.durable_nonce(decoded)
        try:
            execution = self.svm.execute(
                decoded.transaction, accounts.keys, None if nonce is None else nonce[0]
            )
            if not execution.landed:
                return
            event = self._commit(decoded, message_hash, accounts, execution)
        except BaseException as error:
            raise Diverged(f"transaction {decoded.signature} ran, but was not committed") from error
        self._publish(event)

    def _commit(
        self,
        decoded: transactions.Decoded,
        message_hash: bytes,
        accounts: transactions.AccountKeys,
        execution: Execution,
    ) -> TransactionEvent:
        changed: dict[Pubkey, Account | None] = {}
        before: dict[Pubkey, Account | None] = {}
        for key, old, new in zip(accounts.keys, execution.before, execution.after, strict=True):
            if old != new:
                changed[key] = new
                before[key] = old
        error = None if execution.error is None else json.dumps(execution.error)
        meta = records.meta(execution, accounts, self.svm.account)
        self.store.commit_transaction(
            StoredTransaction(
                id=self._next_id,
                signature=decoded.signature,
                slot=self.svm.slot,
                unix_time=self.svm.unix_time,
                raw=decoded.raw,
                meta=json.dumps(meta, separators=(",", ":")),
                error=error,
                memo=transactions.memo(decoded.message),
            ),
            message_hash=message_hash,
            blockhash=bytes(self.svm.blockhash),
            mentions=accounts.keys,
            changed=tuple(changed.items()),
        )
        self._next_id += 1
        self.svm.past.remember(self.svm.slot, before.items())
        return TransactionEvent(
            slot=self.svm.slot,
            signature=decoded.signature,
            error=execution.error,
            logs=meta["logMessages"],
            mentions=frozenset(accounts.keys),
            changed=tuple(changed.items()),
            mints=self._mints_of(changed),
        )

    def _mints_of(self, changed: Mapping[Pubkey, Account | None]) -> dict[Pubkey, Account]:
        mints = {}
        for account in changed.values():
            held = None if account is None else token_account(account)
            mint = None if held is None else self.svm.account(held.mint)
            if held is not None and mint is not None:
                mints[held.mint] = mint
        return mints

    def simulate(self, decoded: transactions.Decoded) -> Simulation:
        """What the transaction would do now; changes nothing. Its age is the caller's to check."""
        return self.svm.simulate(decoded.transaction)
