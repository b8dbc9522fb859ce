"""Transactions, accounts and errors in words, for the status page. Pure."""

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache
from typing import Any

from solders.account import Account
from solders.pubkey import Pubkey

from neurogrid_contracts.errors import program_error_of
from neurogrid_contracts.idl import Field, describe_account, describe_instruction
from neurogrid_contracts.ledger import transactions
from neurogrid_contracts.ledger.parsed import parsed_transaction
from neurogrid_contracts.ledger.store import StoredTransaction
from neurogrid_contracts.ledger.tokens import mint, token_account
from neurogrid_marketplace import base58

_PROGRAM_NAMES = {
    "11111111111111111111111111111111": "System",
    "TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA": "Token",
    "TokenzQdBNbLqP5VEhdkAS6EPFLC1PHnBqCXEpPxuEb": "Token-2022",
    "ATokenGPvbdGVxr1b2hvZbsiqW5xWH25efTNsLJA8knL": "Associated Token",
    "MemoSq4gqABAXKb96qnH8TysNcWxMyWCqXgDLGmfcHr": "Memo",
    "Memo1UhkJRfHyvLMcVucJwxXeuD728EqVDDwQDxFMNo": "Memo",
    "ComputeBudget111111111111111111111111111111": "Compute Budget",
    "Ed25519SigVerify111111111111111111111111111": "Ed25519",
    "AddressLookupTab1e1111111111111111111111111": "Address Lookup Table",
    "BPFLoaderUpgradeab1e11111111111111111111111": "Upgradeable Loader",
    "Sysvar1nstructions1111111111111111111111111": "instructions sysvar",
    "SysvarC1ock11111111111111111111111111111111": "clock sysvar",
}
# A transaction's data fit into a packet; more than this of one instruction nobody reads.
_DATA_CHARS_MAX = 128


@dataclass(frozen=True, slots=True)
class Detail:
    """One named value. ``address`` is set when the text is one, to be followed."""

    label: str
    text: str
    address: str | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """One instruction: which program did what, with the calls it made."""

    program: Detail
    action: str
    details: tuple[Detail, ...]
    inner: tuple["Step", ...] = ()


@dataclass(frozen=True, slots=True)
class Story:
    """A transaction in words.

    Args:
        error: what went wrong; None when it succeeded.
        advice: what to do about an error of the NeuroGrid program.
        changes: who has more or less than before: address, SOL or tokens.
    """

    signature: str
    slot: int
    unix_time: int
    error: str | None
    advice: str | None
    fee_lamports: int
    units: int
    steps: tuple[Step, ...]
    changes: tuple[Detail, ...]
    logs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Names:
    """The addresses that this ledger has names for."""

    program_id: Pubkey
    usdc_mint: Pubkey
    faucet: Pubkey

    def of(self, address: str) -> str | None:
        own = {
            str(self.program_id): "NeuroGrid",
            str(self.usdc_mint): "USDC mint",
            str(self.faucet): "faucet",
        }
        return own.get(address) or _PROGRAM_NAMES.get(address)


@lru_cache(maxsize=256)  # a page that follows the chain tells most of it again
def tell(stored: StoredTransaction, names: Names) -> Story:
    """A stored transaction in words."""
    decoded = transactions.decode(stored.raw)
    error = None if stored.error is None else json.loads(stored.error)
    transaction, meta = parsed_transaction(decoded, json.loads(stored.meta))
    keys = [each["pubkey"] for each in transaction["message"]["accountKeys"]]
    inner = {group["index"]: group["instructions"] for group in meta["innerInstructions"]}
    steps = tuple(
        _step(each, names, tuple(_step(one, names) for one in inner.get(index, ())))
        for index, each in enumerate(transaction["message"]["instructions"])
    )
    text, advice = _error(error, steps)
    return Story(
        signature=str(stored.signature),
        slot=stored.slot,
        unix_time=stored.unix_time,
        error=text,
        advice=advice,
        fee_lamports=meta["fee"],
        units=meta["computeUnitsConsumed"],
        steps=steps,
        changes=tuple(_changes(meta, keys, names)),
        logs=tuple(meta["logMessages"]),
    )


def _error(error: Any, steps: Sequence[Step]) -> tuple[str | None, str | None]:
    if error is None:
        return None, None
    known = program_error_of(error)
    if known is not None and known.instruction_index is not None:
        program = steps[known.instruction_index].program.text
        if program == "NeuroGrid":
            return f"instruction {known.instruction_index + 1}: {known.code.name}", known.advice
    return transactions.describe(error), None


def _step(instruction: dict[str, Any], names: Names, inner: tuple[Step, ...] = ()) -> Step:
    program = address_detail("program", instruction["programId"], names)
    parsed = instruction.get("parsed")
    if isinstance(parsed, str):
        return Step(program, "memo", (Detail("text", parsed),), inner)
    if isinstance(parsed, dict):
        details = [_parsed_detail(_words(key), each, names) for key, each in parsed["info"].items()]
        return Step(program, _words(parsed["type"]), tuple(details), inner)
    accounts = instruction["accounts"]
    ours = None
    if program.text == "NeuroGrid":
        ours = describe_instruction(base58.decode(instruction["data"]))
    if ours is None:
        roles: tuple[str, ...] = ()
        values = [Detail("data", instruction["data"][:_DATA_CHARS_MAX])]
    else:
        roles = tuple(role.replace("_", " ") for role in ours.roles)
        values = [field_detail(field, names) for field in ours.fields]
    shown = [
        address_detail(roles[index] if index < len(roles) else f"account {index + 1}", each, names)
        for index, each in enumerate(accounts)
    ]
    return Step(program, "" if ours is None else ours.name, (*values, *shown), inner)


def _words(camel_case: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", camel_case).lower()


def _parsed_detail(label: str, value: Any, names: Names) -> Detail:
    if label == "lamports" and isinstance(value, int):
        return Detail("amount", sol(value))
    if label == "amount" and isinstance(value, str):
        return Detail(label, f"{value} (smallest units)")
    if isinstance(value, dict) and "uiAmountString" in value:
        return Detail(label, str(value["uiAmountString"]))
    if isinstance(value, str) and _is_address(value):
        return address_detail(label, value, names)
    return Detail(label, value if isinstance(value, str) else json.dumps(value))


def _is_address(text: str) -> bool:
    try:
        Pubkey.from_string(text)
    except ValueError:
        return False
    return True


def address_detail(label: str, address: str, names: Names) -> Detail:
    return Detail(label, names.of(address) or address, address)


def field_detail(field: Field, names: Names) -> Detail:
    """A field of the program's interface, its unit applied."""
    label, value = field.name.replace("_", " "), field.value
    if isinstance(value, Pubkey):
        return address_detail(label, str(value), names)
    if isinstance(value, bytes):
        return Detail(label, value.hex())
    if field.meaning:
        return Detail(label, field.meaning)
    match field.unit:
        case "micro_usdc":
            return Detail(label, usdc(value))
        case "unix_s":
            return Detail(label, time_text(value) if value else "never")
        case "s":
            return Detail(label, f"{value:,} s")
        case _:
            return Detail(label, str(value))


def describe_holdings(account: Account, names: Names) -> tuple[str, tuple[Detail, ...]]:
    """What kind of account it is, and what it holds beyond SOL."""
    if account.owner == names.program_id:
        ours = describe_account(account.data)
        if ours is not None:
            details = (field_detail(each, names) for each in ours.fields)
            return f"NeuroGrid {ours.name}", tuple(details)
    held = token_account(account)
    if held is not None:
        return "token account", (
            address_detail("mint", str(held.mint), names),
            address_detail("owner", str(held.owner), names),
            Detail("amount", _token_text(held.amount, held.mint, names)),
            Detail("state", held.state),
        )
    made = mint(account)
    if made is not None:
        return "mint", (
            Detail("supply", str(made.supply)),
            Detail("decimals", str(made.decimals)),
        )
    return ("program" if account.executable else "account"), ()


def _token_text(amount: int, token_mint: Pubkey, names: Names) -> str:
    return usdc(amount) if token_mint == names.usdc_mint else f"{amount} (smallest units)"


def _changes(meta: dict[str, Any], keys: Sequence[str], names: Names) -> Iterable[Detail]:
    for key, before, after in zip(keys, meta["preBalances"], meta["postBalances"], strict=True):
        if before != after:
            text = sol(after - before, sign=True)
            yield Detail(text, names.of(key) or key, key)
    before_tokens = {each["accountIndex"]: each for each in meta["preTokenBalances"]}
    after_tokens = {each["accountIndex"]: each for each in meta["postTokenBalances"]}
    for index in sorted(before_tokens.keys() | after_tokens.keys()):
        any_side = after_tokens.get(index) or before_tokens[index]
        change = _amount(after_tokens.get(index)) - _amount(before_tokens.get(index))
        if change:
            decimals = any_side["uiTokenAmount"]["decimals"]
            known = any_side["mint"] == str(names.usdc_mint)
            unit = "USDC" if known else f"of {any_side['mint'][:8]}…"
            owner = any_side.get("owner") or keys[index]
            text = f"{_scaled(change, decimals, sign=True)} {unit}"
            yield Detail(text, names.of(owner) or owner, owner)


def _amount(balance: dict[str, Any] | None) -> int:
    return 0 if balance is None else int(balance["uiTokenAmount"]["amount"])


def _scaled(amount: int, decimals: int, *, sign: bool = False) -> str:
    text = f"{Decimal(amount).scaleb(-decimals):{'+' if sign else ''},f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def sol(lamports: int, *, sign: bool = False) -> str:
    return f"{_scaled(lamports, 9, sign=sign)} SOL"


def usdc(micro_usdc: int) -> str:
    return f"{_scaled(micro_usdc, 6)} USDC"


def time_text(unix_s: int) -> str:
    """UTC; the number itself when it is no time that a calendar has."""
    try:
        return f"{datetime.fromtimestamp(unix_s, UTC):%Y-%m-%d %H:%M:%S} UTC"
    except (ValueError, OverflowError, OSError):
        return str(unix_s)
