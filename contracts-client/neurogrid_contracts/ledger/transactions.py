"""Transaction bytes: decoding, the accounts they name, what they cost, how they are refused.

Pure: what is asked of the chain comes in as an argument.
"""

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from solders.account import Account
from solders.compute_budget import ID as COMPUTE_BUDGET
from solders.hash import Hash
from solders.message import Message, MessageV0
from solders.pubkey import Pubkey
from solders.signature import Signature
from solders.transaction import Legacy, SanitizeError, VersionedTransaction

from neurogrid_contracts.ledger.errors import (
    PREFLIGHT_FAILURE,
    SIGNATURE_VERIFICATION_FAILURE,
    RpcError,
    invalid_params,
)

# One IPv6 packet: 1280 bytes less 48 of headers (Agave's PACKET_DATA_SIZE).
TRANSACTION_BYTES_MAX = 1232
LAMPORTS_PER_SIGNATURE = 5000
ADDRESS_LOOKUP_TABLE = Pubkey.from_string("AddressLookupTab1e1111111111111111111111111")
# A table's header; addresses of 32 bytes follow.
TABLE_HEADER_BYTES = 56
# Programs whose instruction data begins with a count of signatures, each charged like the payer's.
_PRECOMPILES = frozenset(
    Pubkey.from_string(name)
    for name in (
        "Ed25519SigVerify111111111111111111111111111",
        "KeccakSecp256k11111111111111111111111111111",
        "Secp256r1SigVerify1111111111111111111111111",
    )
)
_MEMO_PROGRAMS = frozenset(
    Pubkey.from_string(name)
    for name in (
        "MemoSq4gqABAXKb96qnH8TysNcWxMyWCqXgDLGmfcHr",
        "Memo1UhkJRfHyvLMcVucJwxXeuD728EqVDDwQDxFMNo",
    )
)
# Agave's defaults when a transaction sets no limit of its own.
_UNITS_PER_INSTRUCTION = 200_000
_UNITS_MAX = 1_400_000
# Agave's MAX_TX_ACCOUNT_LOCKS.
ACCOUNTS_MAX = 64

AnyMessage = Message | MessageV0
AccountLookup = Callable[[Pubkey], Account | None]


@dataclass(frozen=True, slots=True)
class Decoded:
    """A well-formed transaction; its signatures are not verified yet."""

    raw: bytes
    transaction: VersionedTransaction
    message: AnyMessage
    signature: Signature

    @property
    def blockhash(self) -> Hash:
        return self.message.recent_blockhash


@dataclass(frozen=True, slots=True)
class AccountKeys:
    """Every account a transaction names, in the order its instructions count them."""

    keys: tuple[Pubkey, ...]
    loaded_writable: tuple[Pubkey, ...]
    loaded_readonly: tuple[Pubkey, ...]


def decode(raw: bytes) -> Decoded:
    """Parse ``raw``.

    Raises:
        RpcError: not a transaction, too large, malformed, or of an unknown version.
    """
    if len(raw) > TRANSACTION_BYTES_MAX:
        raise invalid_params(
            f"transaction too large: {len(raw)} bytes (max: {TRANSACTION_BYTES_MAX} bytes)"
        )
    try:
        transaction = VersionedTransaction.from_bytes(raw)
    except ValueError as error:
        raise invalid_params(f"failed to deserialize transaction: {error}") from error
    message = transaction.message
    if not isinstance(message, Message | MessageV0):
        raise invalid_params("unsupported transaction version")
    if bytes(transaction) != raw:
        raise invalid_params("failed to deserialize transaction: trailing bytes")
    try:
        transaction.sanitize()
    except SanitizeError as error:
        raise invalid_params(f"invalid transaction: {error}") from error
    return Decoded(raw, transaction, message, transaction.signatures[0])


def verify(decoded: Decoded) -> None:
    """Raises RpcError when a signature does not fit the message."""
    if not all(decoded.transaction.verify_with_results()):
        raise RpcError(SIGNATURE_VERIFICATION_FAILURE, "Transaction signature verification failure")


def message_hash(decoded: Decoded) -> bytes:
    """32 bytes that identify the message, whatever its signatures."""
    count = len(decoded.transaction.signatures)
    # At most 19 signatures fit into a packet, so their count is one byte.
    return bytes(MessageV0.hash_raw_message(decoded.raw[1 + 64 * count :]))


def version(transaction: VersionedTransaction) -> int | str:
    number = transaction.version()
    return "legacy" if isinstance(number, Legacy) else number


def resolve(message: AnyMessage, account: AccountLookup) -> AccountKeys:
    """The accounts of ``message``, those from address lookup tables included.

    Raises:
        RpcError: a table that does not exist or is too short.
    """
    keys = message.account_keys
    loaded_writable: list[Pubkey] = []
    loaded_readonly: list[Pubkey] = []
    if isinstance(message, MessageV0):
        for lookup in message.address_table_lookups:
            table = account(lookup.account_key)
            if table is None:
                raise _refused("AddressLookupTableNotFound")
            if table.owner != ADDRESS_LOOKUP_TABLE:
                raise _refused("InvalidAddressLookupTableOwner")
            data = table.data
            loaded_writable += [_table_entry(data, i) for i in lookup.writable_indexes]
            loaded_readonly += [_table_entry(data, i) for i in lookup.readonly_indexes]
    return AccountKeys(
        keys=(*keys, *loaded_writable, *loaded_readonly),
        loaded_writable=tuple(loaded_writable),
        loaded_readonly=tuple(loaded_readonly),
    )


def static_writable(message: AnyMessage) -> list[bool]:
    """Which of the accounts that stand in the message itself it may write."""
    header = message.header
    count = len(message.account_keys)
    signed = header.num_required_signatures
    writable_signed = signed - header.num_readonly_signed_accounts
    writable_unsigned = count - header.num_readonly_unsigned_accounts
    return [
        index < writable_signed or signed <= index < writable_unsigned for index in range(count)
    ]


def _table_entry(data: bytes, index: int) -> Pubkey:
    start = TABLE_HEADER_BYTES + 32 * index
    if start + 32 > len(data):
        raise _refused("InvalidAddressLookupTableIndex")
    return Pubkey(data[start : start + 32])


def _refused(error: str) -> RpcError:
    return preflight_failure(error, logs=[], units=0)


def preflight_failure(
    error: Any, *, logs: Sequence[str], units: int, text: str | None = None
) -> RpcError:
    """The refusal that ``sendTransaction`` answers when the preflight fails."""
    return RpcError(
        PREFLIGHT_FAILURE,
        f"Transaction simulation failed: {text or describe(error)}",
        {
            "accounts": None,
            "err": error,
            "innerInstructions": None,
            "logs": list(logs),
            "replacementBlockhash": None,
            "returnData": None,
            "unitsConsumed": units,
        },
    )


_ERROR_TEXTS = {
    "AccountNotFound": "Attempt to debit an account but found no record of a prior credit.",
    "AlreadyProcessed": "This transaction has already been processed",
    "BlockhashNotFound": "Blockhash not found",
    "InsufficientFundsForFee": "Insufficient funds for fee",
}


def describe(error: Any) -> str:
    """An error as Agave words it, as far as clients are known to look."""
    if isinstance(error, str):
        return _ERROR_TEXTS.get(error, error)
    if isinstance(error, dict) and "InstructionError" in error:
        index, kind = error["InstructionError"]
        if isinstance(kind, dict) and "Custom" in kind:
            kind = f"custom program error: {kind['Custom']:#x}"
        return f"Error processing Instruction {index}: {kind}"
    if isinstance(error, dict) and "InsufficientFundsForRent" in error:
        index = error["InsufficientFundsForRent"]["account_index"]
        return f"Transaction results in an account ({index}) with insufficient funds for rent"
    return str(error)


def durable_nonce(decoded: Decoded) -> tuple[Pubkey, tuple[Pubkey, ...]] | None:
    """The nonce account a transaction advances first, and who signs that; None without one."""
    if not decoded.transaction.uses_durable_nonce():
        return None
    message = decoded.message
    keys = message.account_keys
    accounts = message.instructions[0].accounts
    # solders looks at the instruction's kind only.
    if not accounts or accounts[0] >= len(keys) or not static_writable(message)[accounts[0]]:
        return None
    signers = tuple(keys[i] for i in accounts if i < len(keys) and message.is_signer(i))
    return keys[accounts[0]], signers


def fee_lamports(message: AnyMessage) -> int:
    """What a message costs: 5,000 per signature, precompiles' included, and its priority fee."""
    keys = message.account_keys
    signatures = message.header.num_required_signatures
    units_limit: int | None = None
    unit_price_micro_lamports = 0
    ordinary = 0
    for instruction in message.instructions:
        program = keys[instruction.program_id_index]
        data = instruction.data
        if program in _PRECOMPILES:
            signatures += data[0] if data else 0
        if program != COMPUTE_BUDGET:
            ordinary += 1
        elif len(data) == 5 and data[0] == 2:  # SetComputeUnitLimit(u32)
            units_limit = struct.unpack_from("<I", data, 1)[0]
        elif len(data) == 9 and data[0] == 3:  # SetComputeUnitPrice(u64)
            unit_price_micro_lamports = struct.unpack_from("<Q", data, 1)[0]
    if units_limit is None:
        units_limit = _UNITS_PER_INSTRUCTION * ordinary
    priority = min(units_limit, _UNITS_MAX) * unit_price_micro_lamports
    return signatures * LAMPORTS_PER_SIGNATURE + -(-priority // 1_000_000)


def memo(message: AnyMessage) -> str | None:
    """The memos of a message as ``getSignaturesForAddress`` shows them: ``[length] text``."""
    keys = message.account_keys
    memos = [
        f"[{len(instruction.data)}] {bytes(instruction.data).decode(errors='replace')}"
        for instruction in message.instructions
        if keys[instruction.program_id_index] in _MEMO_PROGRAMS
    ]
    return "; ".join(memos) or None
