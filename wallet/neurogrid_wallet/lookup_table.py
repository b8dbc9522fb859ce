"""Address lookup tables: on-chain lists of up to 256 addresses that transactions name by one byte.

The instructions of the address lookup table program, written out like those of ``usdc.py``; the life
of a table is in ``stored_table.py``. Source: agave, address-lookup-table-interface.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from solders.address_lookup_table_account import (
    ID as LOOKUP_TABLE_PROGRAM,
)
from solders.address_lookup_table_account import (
    AddressLookupTable,
    AddressLookupTableAccount,
    derive_lookup_table_address,
)
from solders.instruction import AccountMeta, Instruction
from solders.pubkey import Pubkey

from neurogrid_wallet.usdc import SYSTEM_PROGRAM

ADDRESSES_MAX = 256
"""What one table holds."""
ADDRESSES_PER_EXTENSION_MAX = 20
"""What one transaction may add: 640 of its 1,232 bytes, so that a price and two signers fit too."""
SLOTS_TO_CLOSE = 513
"""A deactivated table may be closed when its slot has left the 512 slot hashes."""

_CREATE = struct.Struct("<IQB")
_EXTEND_HEAD = struct.Struct("<IQ")
_CREATE_TAG, _EXTEND_TAG, _DEACTIVATE_TAG, _CLOSE_TAG = 0, 2, 3, 4
_NEVER = 2**64 - 1


@dataclass(frozen=True, slots=True)
class LookupTable:
    """A table as the chain has it.

    Attributes:
        addresses: in the order in which transactions count them.
        last_extended_slot: what this slot added can be used from the next one on.
        deactivated_slot: None while it is in use.
        rent_lamports: what closing it gives back.
    """

    address: Pubkey
    addresses: tuple[Pubkey, ...]
    last_extended_slot: int
    deactivated_slot: int | None
    rent_lamports: int

    @property
    def account(self) -> AddressLookupTableAccount:
        """As transactions are compiled with it."""
        return AddressLookupTableAccount(self.address, list(self.addresses))

    @classmethod
    def parse(cls, address: Pubkey, data: bytes, lamports: int) -> Self:
        """Read the account's data.

        Raises:
            ValueError: it is no lookup table.
        """
        table = AddressLookupTable.deserialize(data)
        deactivated = table.meta.deactivation_slot
        return cls(
            address,
            tuple(table.addresses),
            table.meta.last_extended_slot,
            None if deactivated == _NEVER else deactivated,
            lamports,
        )


def table_address(authority: Pubkey, slot: int) -> Pubkey:
    """Where the table is that ``authority`` creates over ``slot``."""
    return derive_lookup_table_address(authority, slot)[0]


def create(authority: Pubkey, payer: Pubkey, slot: int) -> Instruction:
    """Create a table. ``slot`` must be a recent one that has a block.

    Args:
        authority: may extend, deactivate and close it.
        payer: pays its rent.
    """
    address, bump = derive_lookup_table_address(authority, slot)
    return Instruction(
        LOOKUP_TABLE_PROGRAM,
        _CREATE.pack(_CREATE_TAG, slot, bump),
        [
            AccountMeta(address, is_signer=False, is_writable=True),
            AccountMeta(authority, is_signer=False, is_writable=False),
            *_payer_accounts(payer),
        ],
    )


def extend(
    table: Pubkey, authority: Pubkey, payer: Pubkey, addresses: Sequence[Pubkey]
) -> Instruction:
    """Add addresses at a table's end; ``payer`` pays the rent for them.

    Raises:
        ValueError: none, or more than fit a transaction.
    """
    if not 1 <= len(addresses) <= ADDRESSES_PER_EXTENSION_MAX:
        raise ValueError(f"1 to {ADDRESSES_PER_EXTENSION_MAX} addresses, not {len(addresses)}")
    return Instruction(
        LOOKUP_TABLE_PROGRAM,
        _EXTEND_HEAD.pack(_EXTEND_TAG, len(addresses)) + b"".join(map(bytes, addresses)),
        [*_authority_accounts(table, authority), *_payer_accounts(payer)],
    )


def deactivate(table: Pubkey, authority: Pubkey) -> Instruction:
    """End a table's use; transactions signed with it are worthless some minutes later."""
    return Instruction(
        LOOKUP_TABLE_PROGRAM,
        struct.pack("<I", _DEACTIVATE_TAG),
        _authority_accounts(table, authority),
    )


def close(table: Pubkey, authority: Pubkey, rent_to: Pubkey) -> Instruction:
    """Delete a deactivated table, not before ``SLOTS_TO_CLOSE``; its rent goes to ``rent_to``."""
    return Instruction(
        LOOKUP_TABLE_PROGRAM,
        struct.pack("<I", _CLOSE_TAG),
        [
            *_authority_accounts(table, authority),
            AccountMeta(rent_to, is_signer=False, is_writable=True),
        ],
    )


def _authority_accounts(table: Pubkey, authority: Pubkey) -> list[AccountMeta]:
    return [
        AccountMeta(table, is_signer=False, is_writable=True),
        AccountMeta(authority, is_signer=True, is_writable=False),
    ]


def _payer_accounts(payer: Pubkey) -> list[AccountMeta]:
    return [
        AccountMeta(payer, is_signer=True, is_writable=True),
        AccountMeta(SYSTEM_PROGRAM, is_signer=False, is_writable=False),
    ]
