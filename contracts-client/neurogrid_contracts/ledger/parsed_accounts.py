"""The ``jsonParsed`` form of accounts: tokens, nonces, lookup tables, programs, in words.

Best effort, as on a real node: what is none of these, or does not read well, stays as bytes.
"""

import base64
import struct
from collections.abc import Callable
from typing import Any

from solders.account import Account
from solders.hash import Hash
from solders.pubkey import Pubkey
from solders.system_program import ID as SYSTEM_PROGRAM

from neurogrid_contracts.ledger import tokens
from neurogrid_contracts.ledger.svm import UPGRADEABLE_LOADER
from neurogrid_contracts.ledger.tokens import TOKEN_2022_PROGRAM, TOKEN_PROGRAM, AccountLookup
from neurogrid_contracts.ledger.transactions import (
    ADDRESS_LOOKUP_TABLE,
    TABLE_HEADER_BYTES,
)

# Multisig: m, n, initialized, and room for 11 keys.
_MULTISIG_KEYS_OFFSET = 3
# Nonce account: version u32, state u32, authority 32, nonce 32, lamports per signature u64.
_NONCE = struct.Struct("<II32s32sQ")
# Lookup table: kind u32, deactivation slot u64, last extended slot u64, start index u8, authority.
_TABLE = struct.Struct("<IQQB?32s")
# Loader-v3's programdata: kind u32, slot u64, authority; code follows.
_PROGRAMDATA = struct.Struct("<IQ?32s")

_Parsed = dict[str, Any]


def parsed_account(account: Account, lookup: AccountLookup) -> _Parsed | None:
    """The ``data`` of an account in words, or None.

    Args:
        lookup: finds the mint of a token account, for its decimals.
    """
    program = _PROGRAMS.get(account.owner)
    if program is None:
        return None
    name, parse = program
    try:
        parsed = parse(account, lookup)
    except (struct.error, ValueError):
        return None  # shorter than its kind needs
    if parsed is None:
        return None
    return {"program": name, "parsed": parsed, "space": len(account.data)}


def _token(account: Account, lookup: AccountLookup) -> _Parsed | None:
    held = tokens.token_account(account)
    if held is not None:
        return {"type": "account", "info": _token_account_info(held, lookup)}
    made = tokens.mint(account)
    if made is not None:
        return {
            "type": "mint",
            "info": {
                "mintAuthority": _text(made.authority),
                "supply": str(made.supply),
                "decimals": made.decimals,
                "isInitialized": True,
                "freezeAuthority": _text(made.freeze_authority),
            },
        }
    return _multisig(account.data)


def _text(key: Pubkey | None) -> str | None:
    return None if key is None else str(key)


def _token_account_info(held: tokens.TokenAccount, lookup: AccountLookup) -> _Parsed:
    decimals = tokens.decimals_of(held.mint, lookup)
    info: _Parsed = {
        "mint": str(held.mint),
        "owner": str(held.owner),
        "tokenAmount": tokens.token_amount(held.amount, decimals),
        "state": held.state,
        "isNative": held.is_native,
    }
    if held.delegate is not None:
        info["delegate"] = str(held.delegate)
        info["delegatedAmount"] = tokens.token_amount(held.delegated_amount, decimals)
    if held.close_authority is not None:
        info["closeAuthority"] = str(held.close_authority)
    return info


def _multisig(data: bytes) -> _Parsed | None:
    if len(data) != tokens.MULTISIG_BYTES or not data[2]:
        return None
    required, count = data[0], data[1]
    keys = [
        str(Pubkey(data[start : start + 32]))
        for start in range(_MULTISIG_KEYS_OFFSET, _MULTISIG_KEYS_OFFSET + 32 * count, 32)
    ]
    info = {
        "numRequiredSigners": required,
        "numValidSigners": count,
        "isInitialized": True,
        "signers": keys,
    }
    return {"type": "multisig", "info": info}


def _nonce(account: Account, lookup: AccountLookup) -> _Parsed | None:
    _, state, authority, nonce, lamports_per_signature = _NONCE.unpack(account.data)
    if not state:
        return {"type": "uninitialized"}
    info = {
        "authority": str(Pubkey(authority)),
        "blockhash": str(Hash(nonce)),
        "feeCalculator": {"lamportsPerSignature": str(lamports_per_signature)},
    }
    return {"type": "initialized", "info": info}


def _lookup_table(account: Account, lookup: AccountLookup) -> _Parsed | None:
    data = account.data
    kind, deactivation, extended, start, has_authority, authority = _TABLE.unpack_from(data)
    if not kind:
        return {"type": "uninitialized"}
    info: _Parsed = {
        "deactivationSlot": str(deactivation),
        "lastExtendedSlot": str(extended),
        "lastExtendedSlotStartIndex": start,
    }
    if has_authority:
        info["authority"] = str(Pubkey(authority))
    info["addresses"] = [
        str(Pubkey(data[at : at + 32])) for at in range(TABLE_HEADER_BYTES, len(data), 32)
    ]
    return {"type": "lookupTable", "info": info}


def _program(account: Account, lookup: AccountLookup) -> _Parsed | None:
    data = account.data
    match int.from_bytes(data[:4], "little"):
        case 1:
            _, has_authority, authority = struct.unpack_from("<I?32s", data)
            info: _Parsed = {
                "authority": str(Pubkey(authority)) if has_authority else None,
                "data": [base64.b64encode(data[37:]).decode(), "base64"],
            }
            return {"type": "buffer", "info": info}
        case 2:
            return {"type": "program", "info": {"programData": str(Pubkey(data[4:36]))}}
        case 3:
            _, slot, has_authority, authority = _PROGRAMDATA.unpack_from(data)
            info = {
                "slot": slot,
                "authority": str(Pubkey(authority)) if has_authority else None,
                "data": [base64.b64encode(data[_PROGRAMDATA.size :]).decode(), "base64"],
            }
            return {"type": "programData", "info": info}
    return None


_PROGRAMS: dict[Pubkey, tuple[str, Callable[[Account, AccountLookup], _Parsed | None]]] = {
    TOKEN_PROGRAM: ("spl-token", _token),
    TOKEN_2022_PROGRAM: ("spl-token-2022", _token),
    SYSTEM_PROGRAM: ("nonce", _nonce),
    ADDRESS_LOOKUP_TABLE: ("address-lookup-table", _lookup_table),
    UPGRADEABLE_LOADER: ("bpf-upgradeable-loader", _program),
}
