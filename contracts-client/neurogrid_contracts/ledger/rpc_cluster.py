"""Methods about the cluster: its clock, its blockhashes, its identity; and this ledger's own."""

import base64
import binascii
from typing import Any

from solders.message import Message, MessageV0, from_bytes_versioned
from solders.signature import Signature
from solders.transaction import SanitizeError, VersionedTransaction

from neurogrid_contracts.ledger import transactions
from neurogrid_contracts.ledger.backend import (
    IMITATED_VERSION,
    Backend,
    Method,
    read_commitment,
    with_context,
)
from neurogrid_contracts.ledger.errors import NODE_UNHEALTHY, RpcError, invalid_params
from neurogrid_contracts.ledger.params import Params
from neurogrid_contracts.ledger.svm import SLOTS_PER_EPOCH

# As on a real node.
_PRIORITY_FEE_ACCOUNTS_MAX = 128


def get_health(backend: Backend, params: Params) -> Any:
    behind = backend.ledger.disturbance.lag_slots
    if behind:
        raise RpcError(
            NODE_UNHEALTHY, f"Node is behind by {behind} slots", {"numSlotsBehind": behind}
        )
    return "ok"


def get_version(backend: Backend, params: Params) -> Any:
    return {"solana-core": IMITATED_VERSION, "feature-set": 0}


def get_genesis_hash(backend: Backend, params: Params) -> Any:
    return str(backend.ledger.genesis.hash)


def get_identity(backend: Backend, params: Params) -> Any:
    return {"identity": str(backend.ledger.genesis.faucet.pubkey())}


def get_slot(backend: Backend, params: Params) -> Any:
    return backend.ledger.slot_at(read_commitment(backend, params.options(0)))


def get_transaction_count(backend: Backend, params: Params) -> Any:
    params.options(0).commitment()
    return backend.ledger.store.last_id()


def get_epoch_info(backend: Backend, params: Params) -> Any:
    slot = backend.ledger.slot_at(read_commitment(backend, params.options(0)))
    return {
        "absoluteSlot": slot,
        "blockHeight": slot,
        "epoch": slot // SLOTS_PER_EPOCH,
        "slotIndex": slot % SLOTS_PER_EPOCH,
        "slotsInEpoch": SLOTS_PER_EPOCH,
        "transactionCount": backend.ledger.store.last_id(),
    }


def get_epoch_schedule(backend: Backend, params: Params) -> Any:
    return {
        "slotsPerEpoch": SLOTS_PER_EPOCH,
        "leaderScheduleSlotOffset": SLOTS_PER_EPOCH,
        "warmup": False,
        "firstNormalEpoch": 0,
        "firstNormalSlot": 0,
    }


def get_latest_blockhash(backend: Backend, params: Params) -> Any:
    commitment = read_commitment(backend, params.options(0))
    blockhash, last_valid = backend.ledger.blockhash_at(commitment)
    return with_context(
        backend, commitment, {"blockhash": str(blockhash), "lastValidBlockHeight": last_valid}
    )


def is_blockhash_valid(backend: Backend, params: Params) -> Any:
    blockhash = params.blockhash(0)
    commitment = read_commitment(backend, params.options(1))
    return with_context(backend, commitment, backend.ledger.knows_blockhash(blockhash, commitment))


def get_fee_for_message(backend: Backend, params: Params) -> Any:
    text = params.text(0, "message")
    commitment = read_commitment(backend, params.options(1))
    try:
        message = from_bytes_versioned(base64.b64decode(text, validate=True))
        if not isinstance(message, Message | MessageV0):
            raise invalid_params("message: unsupported version")
        unsigned = [Signature.default()] * message.header.num_required_signatures
        VersionedTransaction.populate(message, unsigned).sanitize()
    except (ValueError, binascii.Error, SanitizeError) as error:
        raise invalid_params(f"message: {error}") from error
    known = backend.ledger.knows_blockhash(message.recent_blockhash, commitment)
    fee = transactions.fee_lamports(message) if known else None
    return with_context(backend, commitment, fee)


def get_recent_prioritization_fees(backend: Backend, params: Params) -> Any:
    if params.has(0):
        params.array(0, "pubkeys", count_max=_PRIORITY_FEE_ACCOUNTS_MAX)
    return [{"slot": backend.ledger.slot, "prioritizationFee": 0}]


def get_cluster_nodes(backend: Backend, params: Params) -> Any:
    return [
        {
            "pubkey": str(backend.ledger.genesis.faucet.pubkey()),
            "gossip": None,
            "tpu": None,
            "rpc": None,
            "version": IMITATED_VERSION,
            "featureSet": 0,
            "shredVersion": 0,
        }
    ]


# This ledger's own; no cluster has them.


def request_airdrop(backend: Backend, params: Params) -> Any:
    to = params.pubkey(0)
    lamports = params.integer(1, "lamports")
    params.options(2).commitment()
    return str(backend.faucet.send_sol(to, lamports))


def request_usdc(backend: Backend, params: Params) -> Any:
    owner = params.pubkey(0)
    amount_micro_usdc = params.integer(1, "amount_micro_usdc")
    return str(backend.faucet.send_usdc(owner, amount_micro_usdc))


def info(backend: Backend, params: Params) -> Any:
    return backend.info


METHODS = {
    "getBlockHeight": Method(get_slot, 1),
    "getClusterNodes": Method(get_cluster_nodes, 0),
    "getEpochInfo": Method(get_epoch_info, 1),
    "getEpochSchedule": Method(get_epoch_schedule, 0),
    "getFeeForMessage": Method(get_fee_for_message, 2),
    "getGenesisHash": Method(get_genesis_hash, 0),
    "getHealth": Method(get_health, 0),
    "getIdentity": Method(get_identity, 0),
    "getLatestBlockhash": Method(get_latest_blockhash, 1),
    "getRecentPrioritizationFees": Method(get_recent_prioritization_fees, 1),
    "getSlot": Method(get_slot, 1),
    "getTransactionCount": Method(get_transaction_count, 1),
    "getVersion": Method(get_version, 0),
    "isBlockhashValid": Method(is_blockhash_valid, 2),
    "requestAirdrop": Method(request_airdrop, 3),
    "neurogrid_info": Method(info, 0),
    "neurogrid_requestUsdc": Method(request_usdc, 2),
}
