"""Token accounts and mints, and the JSON forms of what they hold. Pure."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from solders.account import Account
from solders.pubkey import Pubkey

TOKEN_PROGRAM = Pubkey.from_string("TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA")
TOKEN_2022_PROGRAM = Pubkey.from_string("TokenzQdBNbLqP5VEhdkAS6EPFLC1PHnBqCXEpPxuEb")
TOKEN_PROGRAMS = (TOKEN_PROGRAM, TOKEN_2022_PROGRAM)

MINT_BYTES = 82
TOKEN_ACCOUNT_BYTES = 165
# The one length that neither mints nor token accounts have, whatever their extensions.
MULTISIG_BYTES = 355
_TOKEN_STATES = ("uninitialized", "initialized", "frozen")

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


def token_account(account: Account) -> TokenAccount | None:
    """What ``account`` holds, when it is a token account."""
    data = account.data
    if account.owner not in TOKEN_PROGRAMS or len(data) < TOKEN_ACCOUNT_BYTES or not data[108]:
        return None
    if len(data) == MULTISIG_BYTES:
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
    if len(data) == MULTISIG_BYTES:
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
