"""One lookup table's life: created, extended, used again and again, closed for its rent.

    table = StoredTable("payouts", directory / "payouts.table", outbox=outbox, rpc=rpc, authority=key)
    usable = await table.with_addresses(recipients)     # creates and extends what is missing
    ...
    rent = await table.close()                          # minutes: see SLOTS_TO_CLOSE

Every step goes through the outbox under an id made from the table's name, and what a step was is in
the file before it is submitted, so that whoever is killed goes on with the same table.
"""

import itertools
import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import anyio
import anyio.to_thread
from solders.address_lookup_table_account import AddressLookupTableAccount
from solders.instruction import Instruction
from solders.pubkey import Pubkey

from neurogrid_wallet import lookup_table
from neurogrid_wallet.chain import Commitment
from neurogrid_wallet.errors import LookupTableFull, OutboxCorrupt, PaymentFailed, PaymentTimeout
from neurogrid_wallet.lookup_table import (
    ADDRESSES_MAX,
    ADDRESSES_PER_EXTENSION_MAX,
    SLOTS_TO_CLOSE,
    LookupTable,
    table_address,
)
from neurogrid_wallet.outbox import Outbox
from neurogrid_wallet.rpc import Rpc
from neurogrid_wallet.stored_json import read_json, write_json

_log = logging.getLogger(__name__)

# How often one call makes a step anew after the chain refused it: a create's slot was too old.
_ATTEMPTS_MAX = 5
_LOOK_INTERVAL_S = 0.1
_CONFIRM_S = 30.0


@dataclass(frozen=True, slots=True)
class _Record:
    """What the file holds.

    Attributes:
        number: counts the tables that this name had.
        slot: the table was, or is to be, created over this slot; its address follows from it.
        attempt: how often another slot was taken.
        extensions: what was, or is to be, added to it, step by step.
    """

    number: int
    slot: int
    attempt: int
    extensions: tuple[tuple[str, ...], ...] = ()

    @property
    def addresses(self) -> list[Pubkey]:
        return [Pubkey.from_string(text) for step in self.extensions for text in step]


class StoredTable:
    """A lookup table of ours under a name."""

    def __init__(
        self, name: str, path: Path, *, outbox: Outbox, rpc: Rpc, authority: Pubkey
    ) -> None:
        """
        Args:
            name: of the table, unique in the outbox, at most 100 characters.
            path: the file that remembers it.
            authority: owns it, and pays its rent and fees.
        """
        self._name = name
        self._path = path
        self._outbox = outbox
        self._rpc = rpc
        self._authority = authority

    async def with_addresses(self, addresses: Sequence[Pubkey]) -> AddressLookupTableAccount:
        """The table, once it holds all of these and can be used; adds what is missing.

        Raises:
            LookupTableFull: it would hold more than 256.
            PaymentFailed: the chain refused a step again and again.
            RpcError: the chain is away; ask again.
        """
        record = await self._created()
        known = set(record.addresses)
        missing = [address for address in dict.fromkeys(addresses) if address not in known]
        if len(known) + len(missing) > ADDRESSES_MAX:
            raise LookupTableFull(self._name, len(known) + len(missing), ADDRESSES_MAX)
        if missing:
            texts = [str(address) for address in missing]
            steps = [
                tuple(texts[start : start + ADDRESSES_PER_EXTENSION_MAX])
                for start in range(0, len(texts), ADDRESSES_PER_EXTENSION_MAX)
            ]
            record = replace(record, extensions=(*record.extensions, *steps))
            await self._save(record)
        await self._extend(record)
        return (await self._usable(record)).account

    async def close(self) -> int:
        """Deactivate the table, wait until it may be closed, and close it.

        Returns: the rent that came back, in lamports; 0 if there was no table.

        Raises:
            PaymentFailed, RpcError: as above.
        """
        record = await self._load()
        if record is None:
            return 0
        address = table_address(self._authority, record.slot)
        rent_lamports = 0
        table = await self._on_chain(record)
        if table is not None:
            rent_lamports = table.rent_lamports
            if table.deactivated_slot is None:
                ended = lookup_table.deactivate(address, self._authority)
                await self._step(f"{self._id(record)}:deactivate", ended)
            await self._cooled_down(record)
            closed = lookup_table.close(address, self._authority, self._authority)
            await self._step(f"{self._id(record)}:close", closed)
        await anyio.to_thread.run_sync(self._path.unlink, True)
        return rent_lamports

    async def _created(self) -> _Record:
        """The table's record, its account being on the chain."""
        record = await self._load()
        if record is not None:
            # The chain first: of a table that is old, the outbox has forgotten everything.
            table = await self._on_chain(record)
            if table is not None and table.deactivated_slot is None:
                return record
            if table is not None:
                await self.close()
                record = None
        if record is None:
            slot = await self._recent_slot()
            # The slot tells this table's ids from those of an earlier, closed one of this name.
            record = _Record(number=slot, slot=slot, attempt=0)
            await self._save(record)
        failures = 0
        while True:
            made = lookup_table.create(self._authority, self._authority, record.slot)
            payment_id = f"{self._id(record)}:create:{record.attempt}"
            is_new = await self._outbox.get(payment_id) is None
            try:
                await self._landed(payment_id, made)
            except PaymentFailed:
                failures += is_new
                if failures >= _ATTEMPTS_MAX:
                    raise
                slot = await self._recent_slot()
                record = replace(record, slot=slot, attempt=record.attempt + 1)
                await self._save(record)
            else:
                return record

    async def _extend(self, record: _Record) -> None:
        """Make the extensions that the table lacks."""
        address = table_address(self._authority, record.slot)
        table = await self._on_chain(record)
        held = len(table.addresses) if table else 0
        end = 0
        # One after the other: transactions count addresses in the order in which they landed.
        for number, step in enumerate(record.extensions):
            end += len(step)
            if held >= end:
                continue
            addition = lookup_table.extend(
                address, self._authority, self._authority, [Pubkey.from_string(a) for a in step]
            )
            await self._step(f"{self._id(record)}:extend:{number}", addition)

    async def _step(self, name: str, instruction: Instruction) -> None:
        """Carry out a step; one that the chain refused moved nothing and is made anew."""
        failures = 0
        for attempt in itertools.count():
            payment_id = f"{name}:{attempt}"
            is_new = await self._outbox.get(payment_id) is None
            try:
                await self._landed(payment_id, instruction)
            except PaymentFailed:
                failures += is_new
                if failures >= _ATTEMPTS_MAX:
                    raise
            else:
                return

    async def _landed(self, payment_id: str, instruction: Instruction) -> None:
        await self._outbox.submit(payment_id, [instruction], self._authority)
        while True:
            try:
                await self._outbox.finalized(payment_id, _CONFIRM_S)
            except PaymentTimeout as error:
                _log.warning("%s", error)
            else:
                return

    async def _usable(self, record: _Record) -> LookupTable:
        """Wait until the chain is a slot beyond the last extension."""
        expected = tuple(record.addresses)
        while True:
            position = await self._rpc.position(Commitment.CONFIRMED)
            table = await self._on_chain(record)
            if table is not None:
                if table.addresses != expected[: len(table.addresses)]:
                    raise OutboxCorrupt(f"{self._path} is not the table at {table.address}")
                # Else this endpoint is several machines, and this one is behind.
                if table.addresses == expected and position.slot > table.last_extended_slot:
                    return table
            await anyio.sleep(_LOOK_INTERVAL_S)

    async def _cooled_down(self, record: _Record) -> None:
        """Wait until a deactivated table may be closed, or is."""
        while True:
            table = await self._on_chain(record)
            if table is None:
                return
            position = await self._rpc.position(Commitment.CONFIRMED)
            ended = table.deactivated_slot
            if ended is not None and position.slot > ended + SLOTS_TO_CLOSE:
                return
            await anyio.sleep(_LOOK_INTERVAL_S)

    async def _on_chain(self, record: _Record) -> LookupTable | None:
        """The table as it is now; None if it is not there."""
        address = table_address(self._authority, record.slot)
        found = await self._rpc.get_account(address)
        return None if found is None else LookupTable.parse(address, found.data, found.lamports)

    async def _recent_slot(self) -> int:
        # Finalized, so that it is on every fork and has a block.
        return (await self._rpc.latest_blockhash(Commitment.FINALIZED)).slot

    def _id(self, record: _Record) -> str:
        return f"table:{self._name}:{record.number}"

    async def _load(self) -> _Record | None:
        value = await anyio.to_thread.run_sync(read_json, self._path)
        if value is None:
            return None
        try:
            extensions = tuple(tuple(step) for step in value["extensions"])
            return _Record(value["number"], value["slot"], value["attempt"], extensions)
        except (KeyError, TypeError) as error:
            raise OutboxCorrupt(f"{self._path} is no table's record: {error!r}") from error

    async def _save(self, record: _Record) -> None:
        await anyio.to_thread.run_sync(write_json, self._path, asdict(record))
