"""The JSON forms of accounts and token amounts. Pure."""

import base64
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from solders.account import Account
from solders.pubkey import Pubkey

from neurogrid_contracts.ledger.errors import INVALID_REQUEST, RpcError, invalid_params
from neurogrid_marketplace import base58

TOKEN_PROGRAM = Pubkey.from_string("TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA")
TOKEN_2022_PROGRAM = Pubkey.from_string("TokenzQdBNbLqP5VEhdkAS6EPFLC1PHnBqCXEpPxuEb")
TOKEN_PROGRAMS = (TOKEN_PROGRAM, TOKEN_2022_PROGRAM)
_PARSED_PROGRAM_NAMES = {TOKEN_PROGRAM: "spl-token", TOKEN_2022_PROGRAM: "spl-token-2022"}

MINT_BYTES = 82
TOKEN_ACCOUNT_BYTES = 165
_TOKEN_STATES = ("uninitialized", "initialized", "frozen")
# As on a real node: longer data has to be asked for in base64.
BASE58_BYTES_MAX = 128

AccountLookup = Callable[[Pubkey], Account | None]


@dataclass(frozen=True, slots=True)
class TokenAccount:
    """An initialized SPL token account. Amounts in the mint's smallest unit."""

    mint: Pubkey
    owner: Pubkey
    amount: int
    delegate: Pubkey | None
    delegated_amount: int
    state: str
    is_native: bool
    close_authority: Pubkey | None


@dataclass(frozen=True, slots=True)
class Mint:
    """An initialized SPL mint. ``supply`` in its smallest unit."""

    authority: Pubkey | None
    supply: int
    decimals: int
    freeze_authority: Pubkey | None


@dataclass(frozen=True, slots=True)
class AccountEncoding:
    """How a caller wants account data: ``name`` is one of the RPC's encodings."""

    name: str = "base64"
    slice_offset: int = 0
    slice_length: int | None = None

    def __post_init__(self) -> None:
        if self.name not in ("base58", "base64", "base64+zstd", "binary", "jsonParsed"):
            raise invalid_params(f"unknown encoding {self.name!r}")
        if self.name == "base64+zstd":
            raise invalid_params("encoding base64+zstd is not served here; ask for base64")


def token_account(account: Account) -> TokenAccount | None:
    """What ``account`` holds, when it is a token account."""
    data = account.data
    if account.owner not in TOKEN_PROGRAMS or len(data) < TOKEN_ACCOUNT_BYTES or not data[108]:
        return None
    if len(data) > TOKEN_ACCOUNT_BYTES and data[TOKEN_ACCOUNT_BYTES] != 2:
        return None  # Token-2022's type byte: 1 is a mint with extensions, 2 an account
    return TokenAccount(
        mint=Pubkey(data[:32]),
        owner=Pubkey(data[32:64]),
        amount=int.from_bytes(data[64:72], "little"),
        delegate=_optional_pubkey(data[72:108]),
        delegated_amount=int.from_bytes(data[121:129], "little"),
        state=_TOKEN_STATES[min(data[108], 2)],
        is_native=data[109] != 0,
        close_authority=_optional_pubkey(data[129:165]),
    )


def mint(account: Account) -> Mint | None:
    """What ``account`` holds, when it is a mint."""
    data = account.data
    if account.owner not in TOKEN_PROGRAMS or len(data) < MINT_BYTES or not data[45]:
        return None
    if len(data) > MINT_BYTES and (
        len(data) <= TOKEN_ACCOUNT_BYTES or data[TOKEN_ACCOUNT_BYTES] != 1
    ):
        return None
    return Mint(
        authority=_optional_pubkey(data[:36]),
        supply=int.from_bytes(data[36:44], "little"),
        decimals=data[44],
        freeze_authority=_optional_pubkey(data[46:82]),
    )


def _optional_pubkey(data: bytes) -> Pubkey | None:
    """Token's ``COption<Pubkey>``: a u32 tag, then the key."""
    return Pubkey(data[4:36]) if data[0] else None


def decimals_of(mint_address: Pubkey, account: AccountLookup) -> int:
    """The decimals of a mint; 0 when there is no such mint."""
    found = account(mint_address)
    parsed = None if found is None else mint(found)
    return 0 if parsed is None else parsed.decimals


def token_amount(amount: int, decimals: int) -> dict[str, Any]:
    """A ``UiTokenAmount``."""
    exact = Decimal(amount).scaleb(-decimals)
    text = f"{exact:f}"
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return {
        "amount": str(amount),
        "decimals": decimals,
        "uiAmount": float(exact),
        "uiAmountString": text,
    }


def token_balances(
    images: Sequence[Account | None], account: AccountLookup
) -> list[dict[str, Any]]:
    """``preTokenBalances`` or ``postTokenBalances`` of a transaction's accounts."""
    balances = []
    for index, image in enumerate(images):
        held = None if image is None else token_account(image)
        if image is None or held is None:
            continue
        balances.append(
            {
                "accountIndex": index,
                "mint": str(held.mint),
                "owner": str(held.owner),
                "programId": str(image.owner),
                "uiTokenAmount": token_amount(held.amount, decimals_of(held.mint, account)),
            }
        )
    return balances


def encode_account(
    account: Account, encoding: AccountEncoding, lookup: AccountLookup
) -> dict[str, Any]:
    """An account as ``getAccountInfo`` shows it.

    Args:
        lookup: finds the mint of a token account, for its decimals.
    """
    data = account.data
    body: dict[str, Any] = {
        "lamports": account.lamports,
        "owner": str(account.owner),
        "executable": account.executable,
        "rentEpoch": account.rent_epoch,
        "space": len(data),
    }
    if encoding.name == "jsonParsed":
        parsed = _parsed(account, lookup)
        if parsed is not None:
            body["data"] = parsed
            return body
    end = None if encoding.slice_length is None else encoding.slice_offset + encoding.slice_length
    data = data[encoding.slice_offset : end]
    if encoding.name in ("base58", "binary"):
        if len(data) > BASE58_BYTES_MAX:
            raise RpcError(
                INVALID_REQUEST,
                "Encoded binary (base 58) data should be less than 128 bytes, "
                "please use Base64 encoding.",
            )
        text = base58.encode(data)
        body["data"] = text if encoding.name == "binary" else [text, "base58"]
    else:
        body["data"] = [base64.b64encode(data).decode(), "base64"]
    return body


def _parsed(account: Account, lookup: AccountLookup) -> dict[str, Any] | None:
    held = token_account(account)
    if held is not None:
        decimals = decimals_of(held.mint, lookup)
        info: dict[str, Any] = {
            "mint": str(held.mint),
            "owner": str(held.owner),
            "tokenAmount": token_amount(held.amount, decimals),
            "state": held.state,
            "isNative": held.is_native,
        }
        if held.delegate is not None:
            info["delegate"] = str(held.delegate)
            info["delegatedAmount"] = token_amount(held.delegated_amount, decimals)
        if held.close_authority is not None:
            info["closeAuthority"] = str(held.close_authority)
        kind = "account"
    else:
        made = mint(account)
        if made is None:
            return None
        info = {
            "mintAuthority": None if made.authority is None else str(made.authority),
            "supply": str(made.supply),
            "decimals": made.decimals,
            "isInitialized": True,
            "freezeAuthority": None
            if made.freeze_authority is None
            else str(made.freeze_authority),
        }
        kind = "mint"
    return {
        "program": _PARSED_PROGRAM_NAMES[account.owner],
        "parsed": {"info": info, "type": kind},
        "space": len(account.data),
    }
