"""What the RPC answers: typed values, and the parsers that trust nothing."""

import base64
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from solders.hash import Hash
from solders.pubkey import Pubkey

from neurogrid_marketplace import base58
from neurogrid_wallet.chain import (
    ChainPosition,
    Commitment,
    SignatureStatus,
    SignatureStatuses,
    TransactionFailure,
    parse_failure,
)

MALFORMED = (AttributeError, IndexError, KeyError, TypeError, ValueError)
"""What the parsers raise for an answer of another shape than the documented one: what Python does
when such a value is taken apart. ``rpc.py`` makes ``RpcUnavailable`` of it."""


@dataclass(frozen=True, slots=True)
class Account:
    """An account's content.

    Attributes:
        data: what its owner program stores there.
        owner: the program that may change it.
        lamports: its SOL, in lamports.
    """

    data: bytes
    owner: Pubkey
    lamports: int


@dataclass(frozen=True, slots=True)
class ProgramAccounts:
    """Accounts of one program, all as they were in one slot."""

    slot: int
    accounts: dict[Pubkey, Account]


@dataclass(frozen=True, slots=True)
class Blockhash:
    """What a transaction is signed over.

    Attributes:
        blockhash: the hash itself.
        last_valid_block_height: the last block that may include such a transaction.
        slot: how far the answering node was.
    """

    blockhash: Hash
    last_valid_block_height: int
    slot: int


@dataclass(frozen=True, slots=True)
class Simulation:
    """What a transaction would do if it ran now.

    Attributes:
        failure: why it would fail, or None.
        logs: the programs' log lines.
        units_consumed: compute units.
    """

    failure: TransactionFailure | None
    logs: tuple[str, ...]
    units_consumed: int


@dataclass(frozen=True, slots=True)
class SignatureRecord:
    """One transaction that touched an address.

    Attributes:
        signature: Base58.
        slot: where it landed.
        failure: why it changed nothing, or None.
        block_time_s: Unix seconds, or None where the node does not know.
    """

    signature: str
    slot: int
    failure: TransactionFailure | None
    block_time_s: int | None


@dataclass(frozen=True, slots=True)
class TokenChange:
    """What a transaction did to one token account.

    Attributes:
        owner: whose account it is; None where an old node does not say.
        mint: which token.
        change: after less before, in the token's smallest unit.
    """

    owner: str | None
    mint: str
    change: int


@dataclass(frozen=True, slots=True)
class TransactionRecord:
    """A transaction as the chain keeps it.

    Attributes:
        slot: where it landed.
        raw: its bytes, as sent.
        failure: why it changed nothing, or None.
        fee_lamports: what its payer paid.
        logs: the programs' log lines.
        block_time_s: Unix seconds, or None where the node does not know.
        token_changes: one per token account among its accounts, whether it changed or not.
    """

    slot: int
    raw: bytes
    failure: TransactionFailure | None
    fee_lamports: int
    logs: tuple[str, ...]
    block_time_s: int | None
    token_changes: tuple[TokenChange, ...] = ()


def parse_account(result: Any) -> Account | None:
    """``getAccountInfo``"""
    return _account(result["value"])


def parse_accounts(expected: int) -> Callable[[Any], list[Account | None]]:
    """``getMultipleAccounts`` of ``expected`` addresses."""
    return lambda result: [_account(value) for value in _exactly(expected, result["value"])]


def parse_program_accounts(result: Any) -> ProgramAccounts:
    """``getProgramAccounts`` with its context."""
    accounts = {}
    for entry in result["value"]:
        account = _account(entry["account"])
        if account is None:
            raise ValueError("an account without content")
        accounts[Pubkey.from_string(entry["pubkey"])] = account
    return ProgramAccounts(parse_count(result["context"]["slot"]), accounts)


def parse_balance(result: Any) -> int:
    """``getBalance``"""
    return parse_count(result["value"])


def parse_blockhash(result: Any) -> Blockhash:
    """``getLatestBlockhash``"""
    value = result["value"]
    return Blockhash(
        Hash(base58.decode(value["blockhash"], 32)),
        parse_count(value["lastValidBlockHeight"]),
        parse_count(result["context"]["slot"]),
    )


def parse_position(result: Any) -> ChainPosition:
    """``getEpochInfo``"""
    return ChainPosition(parse_count(result["absoluteSlot"]), parse_count(result["blockHeight"]))


def parse_statuses(expected: int) -> Callable[[Any], SignatureStatuses]:
    """``getSignatureStatuses`` of ``expected`` signatures."""
    return lambda result: SignatureStatuses(
        parse_count(result["context"]["slot"]),
        tuple(_status(value) for value in _exactly(expected, result["value"])),
    )


def parse_fees(result: Any) -> list[int]:
    """``getRecentPrioritizationFees``"""
    return [parse_count(entry["prioritizationFee"]) for entry in result]


def parse_simulation(result: Any) -> Simulation:
    """``simulateTransaction``"""
    value = result["value"]
    return Simulation(
        parse_failure(value["err"]),
        _lines(value.get("logs")),
        parse_count(value.get("unitsConsumed") or 0),
    )


def parse_records(result: Any) -> list[SignatureRecord]:
    """``getSignaturesForAddress``"""
    return [
        SignatureRecord(
            parse_text(entry["signature"]),
            parse_count(entry["slot"]),
            parse_failure(entry["err"]),
            _block_time_s(entry),
        )
        for entry in result
    ]


def parse_transaction(result: Any) -> TransactionRecord | None:
    """``getTransaction``"""
    if result is None:
        return None
    meta = result["meta"]
    return TransactionRecord(
        parse_count(result["slot"]),
        base64.b64decode(result["transaction"][0], validate=True),
        parse_failure(meta["err"]),
        parse_count(meta["fee"]),
        _lines(meta.get("logMessages")),
        _block_time_s(result),
        _token_changes(meta.get("preTokenBalances"), meta.get("postTokenBalances")),
    )


def parse_count(value: Any) -> int:
    """A number of slots, blocks or lamports; SQLite's range, which no chain will leave."""
    if type(value) is not int or not 0 <= value < 2**63:
        raise ValueError(f"{value!r} counts nothing")
    return value


def parse_text(value: Any) -> str:
    """A text, for example a signature."""
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is no text")
    return value


def _account(value: Any) -> Account | None:
    if value is None:
        return None
    return Account(
        base64.b64decode(value["data"][0], validate=True),
        Pubkey.from_string(value["owner"]),
        parse_count(value["lamports"]),
    )


def _status(value: Any) -> SignatureStatus | None:
    if value is None:
        return None
    return SignatureStatus(
        parse_count(value["slot"]),
        # Absent where the transaction is so old that the node keeps no votes for it any more.
        Commitment(value.get("confirmationStatus") or Commitment.FINALIZED.value),
        parse_failure(value["err"]),
    )


def _token_changes(before: Any, after: Any) -> tuple[TokenChange, ...]:
    """Pairs the balances by account; one that is missing on a side did not exist there."""
    changes: dict[int, TokenChange] = {}
    for sign, balances in ((-1, before or ()), (1, after or ())):
        for entry in balances:
            index = parse_count(entry["accountIndex"])
            owner, mint = entry.get("owner"), parse_text(entry["mint"])
            amount = sign * int(parse_text(entry["uiTokenAmount"]["amount"]))
            known = changes.get(index)
            changes[index] = TokenChange(
                owner if owner is None else parse_text(owner),
                mint,
                amount + (0 if known is None else known.change),
            )
    return tuple(changes.values())


def _block_time_s(entry: Any) -> int | None:
    block_time_s = entry.get("blockTime")
    return None if block_time_s is None else parse_count(block_time_s)


def _lines(logs: Any) -> tuple[str, ...]:
    return tuple(parse_text(line) for line in logs or ())


def _exactly(length: int, values: Any) -> Sequence[Any]:
    """An answer about n things has n entries: pairing them up otherwise would mix them."""
    if not isinstance(values, list) or len(values) != length:
        raise ValueError(f"expected a list of {length}")
    return values
