"""Methods about past transactions and blocks."""

import base64
import json
from typing import Any

from solders.hash import Hash

from neurogrid_contracts.ledger import records, transactions
from neurogrid_contracts.ledger.backend import Backend, Method, read_commitment, with_context
from neurogrid_contracts.ledger.errors import (
    BLOCK_NOT_AVAILABLE,
    INVALID_PARAMS,
    SLOT_SKIPPED,
    UNSUPPORTED_TRANSACTION_VERSION,
    RpcError,
    invalid_params,
)
from neurogrid_contracts.ledger.ledger import Commitment
from neurogrid_contracts.ledger.params import Options, Params, signature
from neurogrid_contracts.ledger.parsed import parsed_transaction
from neurogrid_contracts.ledger.store import StoredTransaction
from neurogrid_marketplace import base58

# As on a real node.
_STATUSES_PER_CALL_MAX = 256
_SIGNATURES_PER_CALL_MAX = 1000
_BLOCKS_PER_CALL_MAX = 500_000
# How far back `getSignatureStatuses` looks by itself (Agave's status cache holds 300 slots).
_STATUS_CACHE_SLOTS = 300
_DETAILS = ("full", "accounts", "signatures", "none")
# What `transactionDetails: accounts` leaves of a transaction's `meta`.
_ACCOUNT_META = (
    *("err", "status", "fee", "preBalances", "postBalances"),
    *("preTokenBalances", "postTokenBalances"),
)
_ENCODINGS = ("json", "jsonParsed", "base58", "base64", "binary")


def get_signature_statuses(backend: Backend, params: Params) -> Any:
    names = params.array(0, "signatures", count_max=_STATUSES_PER_CALL_MAX)
    search_history = params.options(1).flag("searchTransactionHistory")
    ledger = backend.ledger
    newest = ledger.slot_at(Commitment.PROCESSED)
    slot_min = 0 if search_history else newest - _STATUS_CACHE_SLOTS
    statuses: list[dict[str, Any] | None] = []
    for name in names:
        stored = ledger.store.transaction(signature(name, "signatures"))
        if stored is None or not slot_min <= stored.slot <= newest:
            statuses.append(None)
            continue
        error = _error(stored)
        commitment = ledger.commitment_of(stored.slot)
        final = commitment is Commitment.FINALIZED
        statuses.append(
            {
                "slot": stored.slot,
                "confirmations": None if final else ledger.confirmations_of(stored.slot),
                "err": error,
                "status": records.status(error),
                "confirmationStatus": commitment.value,
            }
        )
    return with_context(backend, Commitment.PROCESSED, statuses)


def get_signatures_for_address(backend: Backend, params: Params) -> Any:
    address = params.pubkey(0, "address")
    options = params.options(1)
    commitment = _settled(backend, options)
    limit = options.integer("limit", low=1, high=_SIGNATURES_PER_CALL_MAX)
    rows = backend.ledger.store.transactions_of(
        address,
        before_id=_id_of(backend, options, "before"),
        after_id=_id_of(backend, options, "until"),
        slot_max=backend.ledger.slot_at(commitment),
        limit=_SIGNATURES_PER_CALL_MAX if limit is None else limit,
    )
    return [
        {
            "signature": str(row.signature),
            "slot": row.slot,
            "err": _error(row),
            "memo": row.memo,
            "blockTime": row.unix_time,
            "confirmationStatus": backend.ledger.commitment_of(row.slot).value,
        }
        for row in rows
    ]


def _settled(backend: Backend, options: Options) -> Commitment:
    """History knows confirmed and finalized; a real node refuses ``processed`` alike."""
    commitment = read_commitment(backend, options)
    if commitment is Commitment.PROCESSED:
        raise invalid_params("Method does not support commitment below `confirmed`")
    return commitment


def _id_of(backend: Backend, options: Options, name: str) -> int | None:
    if not options.has(name):
        return None
    stored = backend.ledger.store.transaction(signature(options.raw(name), name))
    # An unknown bound: nothing is older than it, or everything is newer.
    if stored is None:
        return 0
    return stored.id


def _error(stored: StoredTransaction) -> Any:
    return None if stored.error is None else json.loads(stored.error)


def _encoding_options(params: Params, index: int) -> Options:
    """The configuration object; older clients send only the encoding's name."""
    if params.has(index) and isinstance(params.raw(index, "configuration"), str):
        return Options({"encoding": params.text(index, "encoding")})
    return params.options(index)


def get_transaction(backend: Backend, params: Params) -> Any:
    wanted = params.signature(0)
    options = _encoding_options(params, 1)
    commitment = _settled(backend, options)
    stored = backend.ledger.store.transaction(wanted)
    if stored is None or stored.slot > backend.ledger.slot_at(commitment):
        return None
    return {
        "slot": stored.slot,
        "blockTime": stored.unix_time,
        **_shown(stored, options),
    }


def _shown(stored: StoredTransaction, options: Options) -> dict[str, Any]:
    """The ``transaction``, ``meta`` and ``version`` of an answer."""
    encoding = options.text("encoding", "json")
    if encoding not in _ENCODINGS:
        raise invalid_params(f"unknown encoding {encoding!r}")
    version_max = options.integer("maxSupportedTransactionVersion", high=255)
    decoded = transactions.decode(stored.raw)
    version = transactions.version(decoded.transaction)
    if isinstance(version, int) and (version_max is None or version > version_max):
        raise RpcError(
            UNSUPPORTED_TRANSACTION_VERSION,
            f"Transaction version ({version}) is not supported by the requesting client. Please "
            "try the request again with the following configuration parameter: "
            f'"maxSupportedTransactionVersion": {version}',
        )
    meta = json.loads(stored.meta)
    shown: dict[str, Any]
    if encoding == "jsonParsed":
        transaction, meta = parsed_transaction(decoded, meta)
        shown = {"transaction": transaction, "meta": meta}
    elif encoding == "json":
        shown = {"transaction": records.transaction_json(decoded), "meta": meta}
    elif encoding == "base64":
        shown = {"transaction": [base64.b64encode(stored.raw).decode(), "base64"], "meta": meta}
    else:
        text = base58.encode(stored.raw)
        body = text if encoding == "binary" else [text, "base58"]
        shown = {"transaction": body, "meta": meta}
    if version_max is not None:
        shown["version"] = version
    return shown


def _accounts(stored: StoredTransaction, options: Options) -> dict[str, Any]:
    """A transaction as ``transactionDetails: accounts`` shows it: who took part, and balances."""
    shown = _shown(stored, Options({**options.values, "encoding": "jsonParsed"}))
    shown["meta"] = {name: shown["meta"][name] for name in _ACCOUNT_META}
    transaction = shown["transaction"]
    shown["transaction"] = {
        "signatures": transaction["signatures"],
        "accountKeys": transaction["message"]["accountKeys"],
    }
    return shown


def get_block(backend: Backend, params: Params) -> Any:
    slot = params.integer(0, "slot")
    options = _encoding_options(params, 1)
    commitment = _settled(backend, options)
    details = options.text("transactionDetails", "full")
    if details not in _DETAILS:
        raise invalid_params(f"transactionDetails: expected one of {', '.join(_DETAILS)}")
    store = backend.ledger.store
    if slot > backend.ledger.slot_at(commitment):
        raise RpcError(BLOCK_NOT_AVAILABLE, f"Block not available for slot {slot}")
    block = store.block(slot)
    if block is None:
        raise RpcError(
            SLOT_SKIPPED,
            f"Slot {slot} was skipped, or missing due to ledger jump to recent snapshot",
        )
    parent = store.block_before(slot)
    body: dict[str, Any] = {
        "blockhash": str(Hash(block.blockhash)),
        "previousBlockhash": str(Hash.default() if parent is None else Hash(parent.blockhash)),
        "parentSlot": 0 if parent is None else parent.slot,
        "blockTime": block.unix_time,
        "blockHeight": slot,
    }
    if details == "full":
        body["transactions"] = [_shown(row, options) for row in store.transactions_in(slot)]
    elif details == "accounts":
        body["transactions"] = [_accounts(row, options) for row in store.transactions_in(slot)]
    elif details == "signatures":
        body["signatures"] = [str(row.signature) for row in store.transactions_in(slot)]
    if not options.has("rewards") or options.flag("rewards"):
        body["rewards"] = []
    return body


def get_blocks(backend: Backend, params: Params) -> Any:
    first = params.integer(0, "start slot")
    # The end may be left out, and then the configuration takes its place.
    end_given = params.has(1) and isinstance(params.raw(1, "end slot"), int)
    commitment = _settled(backend, params.options(2 if end_given or not params.has(1) else 1))
    last = backend.ledger.slot_at(commitment)
    if end_given:
        last = min(last, params.integer(1, "end slot"))
    if last - first > _BLOCKS_PER_CALL_MAX:
        raise RpcError(INVALID_PARAMS, f"Slot range too large; max {_BLOCKS_PER_CALL_MAX}")
    return backend.ledger.store.slots_with_blocks(first, last, _BLOCKS_PER_CALL_MAX)


def get_blocks_with_limit(backend: Backend, params: Params) -> Any:
    first = params.integer(0, "start slot")
    limit = params.integer(1, "limit", high=_BLOCKS_PER_CALL_MAX)
    last = backend.ledger.slot_at(_settled(backend, params.options(2)))
    return backend.ledger.store.slots_with_blocks(first, last, limit)


def get_block_time(backend: Backend, params: Params) -> Any:
    slot = params.integer(0, "slot")
    ledger = backend.ledger
    block = ledger.store.block(slot)
    if block is not None:
        return block.unix_time
    if slot > ledger.slot:
        raise RpcError(BLOCK_NOT_AVAILABLE, f"Block not available for slot {slot}")
    # An empty slot leaves no row; its time follows from the length of a slot.
    return ledger.svm.unix_time - (ledger.slot - slot) * ledger.slot_ms // 1000


def get_first_available_block(backend: Backend, params: Params) -> Any:
    return backend.ledger.store.first_block_slot()


METHODS = {
    "getBlock": Method(get_block, 2),
    "getBlocks": Method(get_blocks, 3),
    "getBlocksWithLimit": Method(get_blocks_with_limit, 3),
    "getBlockTime": Method(get_block_time, 1),
    "getFirstAvailableBlock": Method(get_first_available_block, 0),
    "getSignatureStatuses": Method(get_signature_statuses, 2),
    "getSignaturesForAddress": Method(get_signatures_for_address, 2),
    "getTransaction": Method(get_transaction, 2),
    "minimumLedgerSlot": Method(get_first_available_block, 0),
}
