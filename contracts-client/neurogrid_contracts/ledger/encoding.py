"""The JSON form of accounts, in the encoding that the caller wants. Pure."""

import base64
import sys
from dataclasses import dataclass
from typing import Any

from solders.account import Account

from neurogrid_contracts.ledger.errors import INVALID_REQUEST, RpcError, invalid_params
from neurogrid_contracts.ledger.parsed_accounts import parsed_account
from neurogrid_contracts.ledger.tokens import AccountLookup
from neurogrid_marketplace import base58

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

# As on a real node: longer data has to be asked for in base64.
BASE58_BYTES_MAX = 128
_ENCODINGS = ("base58", "base64", "base64+zstd", "binary", "jsonParsed")


@dataclass(frozen=True, slots=True)
class AccountEncoding:
    """How a caller wants account data: ``name`` is one of the RPC's encodings."""

    name: str = "base64"
    slice_offset: int = 0
    slice_length: int | None = None

    def __post_init__(self) -> None:
        if self.name not in _ENCODINGS:
            raise invalid_params(f"unknown encoding {self.name!r}")


def encode_account(
    account: Account, encoding: AccountEncoding, lookup: AccountLookup
) -> dict[str, Any]:
    """An account as ``getAccountInfo`` shows it.

    Args:
        lookup: finds the mint of a token account, for its decimals.
    Raises:
        RpcError: the data is too long for the encoding.
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
        parsed = parsed_account(account, lookup)
        if parsed is not None:
            body["data"] = parsed
            return body
    end = None if encoding.slice_length is None else encoding.slice_offset + encoding.slice_length
    body["data"] = _encoded(data[encoding.slice_offset : end], encoding.name)
    return body


def _encoded(data: bytes, encoding: str) -> str | list[str]:
    if encoding in ("base58", "binary"):
        if len(data) > BASE58_BYTES_MAX:
            raise RpcError(
                INVALID_REQUEST,
                "Encoded binary (base 58) data should be less than 128 bytes, "
                "please use Base64 encoding.",
            )
        text = base58.encode(data)
        return text if encoding == "binary" else [text, "base58"]
    if encoding == "base64+zstd":
        return [base64.b64encode(zstd.compress(data)).decode(), "base64+zstd"]
    # What a real node cannot parse it shows in base64, too.
    return [base64.b64encode(data).decode(), "base64"]
