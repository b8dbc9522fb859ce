"""The ``jsonParsed`` form of transactions: the instructions that payments are made of, in words.

Best effort, as on a real node: an instruction of another program, or one that does not read well,
stays as accounts and data.
"""

from collections.abc import Callable, Sequence
from typing import Any

from solders.pubkey import Pubkey

from neurogrid_contracts.ledger import records, transactions
from neurogrid_contracts.ledger.tokens import TOKEN_2022_PROGRAM, TOKEN_PROGRAM, token_amount
from neurogrid_contracts.ledger.transactions import Decoded
from neurogrid_marketplace import base58

_Parsed = dict[str, Any] | str

_SYSTEM = "11111111111111111111111111111111"
_ASSOCIATED_TOKEN = "ATokenGPvbdGVxr1b2hvZbsiqW5xWH25efTNsLJA8knL"
_MEMO = "MemoSq4gqABAXKb96qnH8TysNcWxMyWCqXgDLGmfcHr"


def parsed_transaction(
    decoded: Decoded, meta: dict[str, Any]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The ``transaction`` and ``meta`` of the ``jsonParsed`` encoding."""
    message = decoded.message
    loaded = meta["loadedAddresses"]
    keys = [str(key) for key in message.account_keys] + loaded["writable"] + loaded["readonly"]
    static = len(message.account_keys)
    signed = message.header.num_required_signatures

    writable = [
        *transactions.static_writable(message),
        *(True for _ in loaded["writable"]),
        *(False for _ in loaded["readonly"]),
    ]
    body = records.transaction_json(decoded)
    plain = body["message"]
    plain.pop("header")
    plain["accountKeys"] = [
        {
            "pubkey": key,
            "signer": index < signed,
            "writable": writable[index],
            "source": "transaction" if index < static else "lookupTable",
        }
        for index, key in enumerate(keys)
    ]
    plain["instructions"] = [_instruction(one, keys) for one in plain["instructions"]]
    shown_meta = dict(meta)
    shown_meta.pop("loadedAddresses")
    shown_meta["innerInstructions"] = [
        {
            "index": group["index"],
            "instructions": [_instruction(one, keys) for one in group["instructions"]],
        }
        for group in meta["innerInstructions"]
    ]
    return body, shown_meta


def _instruction(compiled: dict[str, Any], keys: Sequence[str]) -> dict[str, Any]:
    program = keys[compiled["programIdIndex"]]
    accounts = [keys[index] for index in compiled["accounts"]]
    name, parse = _PROGRAMS.get(program, ("", _not_parsed))
    try:
        parsed = parse(base58.decode(compiled["data"]), accounts)
    except (IndexError, ValueError):
        parsed = None  # too short, or with too few accounts: shown as it is
    if parsed is None:
        return {
            "programId": program,
            "accounts": accounts,
            "data": compiled["data"],
            "stackHeight": compiled["stackHeight"],
        }
    return {
        "program": name,
        "programId": program,
        "parsed": parsed,
        "stackHeight": compiled["stackHeight"],
    }


def _not_parsed(data: bytes, accounts: Sequence[str]) -> _Parsed | None:
    return None


def _u64(data: bytes, offset: int) -> int:
    part = data[offset : offset + 8]
    if len(part) != 8:
        raise ValueError("instruction data is too short")
    return int.from_bytes(part, "little")


def _key(data: bytes, offset: int) -> str:
    return str(Pubkey(data[offset : offset + 32]))


def _system(data: bytes, accounts: Sequence[str]) -> _Parsed | None:
    match int.from_bytes(data[:4], "little"):
        case 0:
            return {
                "type": "createAccount",
                "info": {
                    "source": accounts[0],
                    "newAccount": accounts[1],
                    "lamports": _u64(data, 4),
                    "space": _u64(data, 12),
                    "owner": _key(data, 20),
                },
            }
        case 2:
            return {
                "type": "transfer",
                "info": {
                    "source": accounts[0],
                    "destination": accounts[1],
                    "lamports": _u64(data, 4),
                },
            }
        case 4:
            return {
                "type": "advanceNonce",
                "info": {
                    "nonceAccount": accounts[0],
                    "recentBlockhashesSysvar": accounts[1],
                    "nonceAuthority": accounts[2],
                },
            }
    return None


def _token(data: bytes, accounts: Sequence[str]) -> _Parsed | None:
    match data[0]:
        case 3:
            return {
                "type": "transfer",
                "info": {
                    "source": accounts[0],
                    "destination": accounts[1],
                    "authority": accounts[2],
                    "amount": str(_u64(data, 1)),
                },
            }
        case 7:
            return {
                "type": "mintTo",
                "info": {
                    "mint": accounts[0],
                    "account": accounts[1],
                    "mintAuthority": accounts[2],
                    "amount": str(_u64(data, 1)),
                },
            }
        case 9:
            return {
                "type": "closeAccount",
                "info": {
                    "account": accounts[0],
                    "destination": accounts[1],
                    "owner": accounts[2],
                },
            }
        case 12:
            return {
                "type": "transferChecked",
                "info": {
                    "source": accounts[0],
                    "mint": accounts[1],
                    "destination": accounts[2],
                    "authority": accounts[3],
                    "tokenAmount": token_amount(_u64(data, 1), data[9]),
                },
            }
        case 14:
            return {
                "type": "mintToChecked",
                "info": {
                    "mint": accounts[0],
                    "account": accounts[1],
                    "mintAuthority": accounts[2],
                    "tokenAmount": token_amount(_u64(data, 1), data[9]),
                },
            }
        case 18:
            return {
                "type": "initializeAccount3",
                "info": {
                    "account": accounts[0],
                    "mint": accounts[1],
                    "owner": _key(data, 1),
                },
            }
    return None


def _associated_token(data: bytes, accounts: Sequence[str]) -> _Parsed | None:
    if data not in (b"", b"\0", b"\1"):
        return None
    return {
        "type": "createIdempotent" if data == b"\1" else "create",
        "info": {
            "source": accounts[0],
            "account": accounts[1],
            "wallet": accounts[2],
            "mint": accounts[3],
            "systemProgram": accounts[4],
            "tokenProgram": accounts[5],
        },
    }


def _memo(data: bytes, accounts: Sequence[str]) -> _Parsed | None:
    return data.decode()  # UnicodeDecodeError is a ValueError


_PROGRAMS: dict[str, tuple[str, Callable[[bytes, Sequence[str]], _Parsed | None]]] = {
    _SYSTEM: ("system", _system),
    str(TOKEN_PROGRAM): ("spl-token", _token),
    str(TOKEN_2022_PROGRAM): ("spl-token", _token),
    _ASSOCIATED_TOKEN: ("spl-associated-token-account", _associated_token),
    _MEMO: ("spl-memo", _memo),
}
