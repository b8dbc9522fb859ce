"""Transactions: compile, sign and measure them."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from solders.address_lookup_table_account import AddressLookupTableAccount
from solders.compute_budget import ID as COMPUTE_BUDGET_PROGRAM
from solders.compute_budget import set_compute_unit_limit, set_compute_unit_price
from solders.errors import SignerError
from solders.hash import Hash
from solders.instruction import Instruction
from solders.keypair import Keypair
from solders.message import CompileError, MessageV0
from solders.pubkey import Pubkey
from solders.signature import Signature
from solders.transaction import VersionedTransaction

from neurogrid_wallet.errors import SignerMissing, TransactionInvalid, TransactionTooLarge
from neurogrid_wallet.keys import KeyPair

# One IPv6 packet of 1280 bytes less 48 of headers (solana-packet, PACKET_DATA_SIZE).
TRANSACTION_BYTES_MAX = 1232

# What one transaction may ask for at most (agave, MAX_COMPUTE_UNIT_LIMIT).
COMPUTE_UNITS_MAX = 1_400_000

FIRST_INSTRUCTION_INDEX = 1
"""Where a payment's first instruction stands in its transaction, whatever is paid for going first.

Instructions that name each other by place (a claim names the proof of its voucher) count from here.
"""

SignerSource = Callable[[list[Pubkey]], list[Keypair]]
"""Gives the keys of these addresses, in any order.

Raises:
    SignerMissing: it does not hold one of them.
"""


@dataclass(frozen=True, slots=True)
class ComputeBudget:
    """How much work a transaction may do, and what is paid for going first.

    Attributes:
        unit_limit: compute units. Block space is reserved for the limit, not for the use.
        unit_price_micro_lamports: priority fee per compute unit, in millionths of a lamport.
    """

    # Our dearest instructions open accounts and search their addresses (21,000 units measured);
    # a batch of twelve releases takes 45,000.
    unit_limit: int = 200_000
    unit_price_micro_lamports: int = 0

    def __post_init__(self) -> None:
        if not 0 < self.unit_limit <= COMPUTE_UNITS_MAX:
            raise ValueError(f"unit_limit must be between 1 and {COMPUTE_UNITS_MAX}")
        if not 0 <= self.unit_price_micro_lamports < 2**64:
            raise ValueError("unit_price_micro_lamports does not fit an unsigned 64-bit integer")

    def around(
        self, instructions: Sequence[Instruction], extra_units: int = 0
    ) -> list[Instruction]:
        """The limit, these instructions from ``FIRST_INSTRUCTION_INDEX`` on, and a price if any.

        The price comes last, because whether there is one is decided when a payment is signed,
        and nothing may move then. The runtime reads the budget before anything runs, wherever it
        stands.

        Args:
            extra_units: raises the limit; the runtime takes a limit above the maximum as the
                maximum.
        """
        limit = set_compute_unit_limit(self.unit_limit + extra_units)
        if self.unit_price_micro_lamports == 0:
            return [limit, *instructions]
        return [limit, *instructions, set_compute_unit_price(self.unit_price_micro_lamports)]


def build_transaction(
    instructions: Sequence[Instruction],
    payer: Pubkey,
    signers: Sequence[Keypair],
    blockhash: Hash,
    *,
    lookup_tables: Sequence[AddressLookupTableAccount] = (),
) -> bytes:
    """A signed version-0 transaction, ready to send.

    Args:
        signers: the keys of every address that has to sign, the payer's among them, in any order.
        blockhash: a recent one; the transaction is worthless 150 blocks after it.

    Raises:
        SignerMissing: an address has to sign and no key for it was given, or a key signs nothing.
        TransactionTooLarge: more than ``TRANSACTION_BYTES_MAX``.
        TransactionInvalid: it cannot be expressed, for example with more than 256 accounts.
    """
    size_bytes = _size_bytes_at_least(instructions, payer, lookup_tables)
    # Checked before too, because solders panics (not an Exception) above 65,535 bytes.
    if size_bytes > TRANSACTION_BYTES_MAX:
        raise TransactionTooLarge(size_bytes, TRANSACTION_BYTES_MAX)
    try:
        message = MessageV0.try_compile(payer, list(instructions), list(lookup_tables), blockhash)
        transaction = bytes(VersionedTransaction(message, list(signers)))
    except CompileError as error:
        raise TransactionInvalid(f"cannot compile: {error}") from error
    except SignerError as error:
        needed = [str(key) for key in required_signers(instructions, payer)]
        raise SignerMissing(f"cannot sign: {error}; required signers: {needed}") from error
    if len(transaction) > TRANSACTION_BYTES_MAX:
        raise TransactionTooLarge(len(transaction), TRANSACTION_BYTES_MAX)
    return transaction


def _size_bytes_at_least(
    instructions: Sequence[Instruction],
    payer: Pubkey,
    lookup_tables: Sequence[AddressLookupTableAccount],
) -> int:
    """What data, account indices and addresses outside every table take: a lower bound."""
    looked_up = {address for table in lookup_tables for address in table.addresses}
    addresses = {payer}
    size_bytes = 0
    for instruction in instructions:
        addresses |= {account.pubkey for account in instruction.accounts} - looked_up
        addresses.add(instruction.program_id)
        size_bytes += len(instruction.data) + len(instruction.accounts)
    return size_bytes + 32 * len(addresses)


def signature_of(transaction: bytes) -> str:
    """The transaction's name on chain, Base58: its payer's signature."""
    # Byte 0 counts the signatures; it is one byte, because no packet holds 128 of them.
    return str(Signature(transaction[1:65]))


def required_signers(instructions: Sequence[Instruction], payer: Pubkey) -> list[Pubkey]:
    """Who has to sign: the payer first, then the others in order of appearance."""
    signers = {payer: None}
    for instruction in instructions:
        for account in instruction.accounts:
            if account.is_signer:
                signers[account.pubkey] = None
    return list(signers)


def writable_accounts(instructions: Iterable[Instruction], payer: Pubkey) -> list[Pubkey]:
    """What the transaction locks against others: the payer first, then in order of appearance."""
    accounts = {payer: None}
    for instruction in instructions:
        for account in instruction.accounts:
            if account.is_writable:
                accounts[account.pubkey] = None
    return list(accounts)


def signers_from(keys: Iterable[KeyPair]) -> SignerSource:
    """A signer source that holds exactly these keys."""
    held = {keypair.pubkey(): keypair for keypair in (key.to_solders() for key in keys)}

    def signers(addresses: list[Pubkey]) -> list[Keypair]:
        missing = [str(address) for address in addresses if address not in held]
        if missing:
            raise SignerMissing(f"no key for {', '.join(missing)}")
        return [held[address] for address in addresses]

    return signers


def sets_compute_budget(instructions: Sequence[Instruction]) -> bool:
    """Whether one of ``instructions`` already talks to the compute budget program."""
    return any(instruction.program_id == COMPUTE_BUDGET_PROGRAM for instruction in instructions)
