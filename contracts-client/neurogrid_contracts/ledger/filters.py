"""The filters of ``getProgramAccounts`` and ``programSubscribe``."""

import base64
import binascii
from collections.abc import Callable, Mapping
from typing import Any

from solders.account import Account

from neurogrid_contracts.ledger.errors import invalid_params
from neurogrid_contracts.ledger.params import Options
from neurogrid_contracts.ledger.tokens import token_account
from neurogrid_marketplace import base58

Filter = Callable[[Account], bool]

# As on a real node.
_FILTERS_MAX = 4
_MEMCMP_BYTES_MAX = 128


def parse_filters(value: object) -> list[Filter]:
    """The tests an account has to pass, all of them."""
    if value is None:
        return []
    if not isinstance(value, list):
        raise invalid_params("filters: expected an array")
    if len(value) > _FILTERS_MAX:
        raise invalid_params(f"filters: too many; max {_FILTERS_MAX}")
    return [_parse(item) for item in value]


def _parse(item: object) -> Filter:
    if item == "tokenAccountState":
        return lambda account: token_account(account) is not None
    if not isinstance(item, Mapping):
        raise invalid_params("filters: expected dataSize, memcmp or tokenAccountState")
    options = Options(item)
    if options.has("tokenAccountState"):
        return lambda account: token_account(account) is not None
    size = options.integer("dataSize")
    if size is not None:
        return lambda account: len(account.data) == size
    memcmp = options.raw("memcmp")
    if not isinstance(memcmp, Mapping):
        raise invalid_params("filters: expected dataSize, memcmp or tokenAccountState")
    return _memcmp(Options(memcmp))


def _memcmp(options: Options) -> Filter:
    offset = options.integer("offset", high=2**31)
    if offset is None:
        raise invalid_params("memcmp: needs an offset")
    wanted = _bytes(options.raw("bytes"), options.text("encoding", "base58"))
    if len(wanted) > _MEMCMP_BYTES_MAX:
        raise invalid_params(f"memcmp: {len(wanted)} bytes; max {_MEMCMP_BYTES_MAX}")
    return lambda account: account.data[offset : offset + len(wanted)] == wanted


def _bytes(value: Any, encoding: str) -> bytes:
    try:
        if isinstance(value, list):
            return bytes(value)
        if not isinstance(value, str):
            raise invalid_params("memcmp: bytes: expected a string or an array of numbers")
        if encoding == "base64":
            return base64.b64decode(value, validate=True)
        if encoding == "base58":
            return base58.decode(value)
    except (ValueError, TypeError, binascii.Error) as error:
        raise invalid_params(f"memcmp: bytes: {error}") from error
    raise invalid_params(f"memcmp: unknown encoding {encoding!r}")
