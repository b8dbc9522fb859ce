"""Methods about who produces blocks and votes: this node does the first, and nobody the second."""

from typing import Any

from neurogrid_contracts.ledger.backend import Backend, Method, read_commitment, with_context
from neurogrid_contracts.ledger.errors import NO_SNAPSHOT, RpcError, invalid_params
from neurogrid_contracts.ledger.ledger import Commitment
from neurogrid_contracts.ledger.params import Options, Params, pubkey
from neurogrid_contracts.ledger.svm import SLOTS_PER_EPOCH

# As on a real node.
_LEADERS_PER_CALL_MAX = 5_000
_SAMPLES_MAX = 720
_SAMPLE_S = 60


def _identity(backend: Backend) -> str:
    return str(backend.ledger.genesis.faucet.pubkey())


def _is_about_us(backend: Backend, options: Options, name: str) -> bool:
    """Whether an answer that may be limited to one key, by option ``name``, includes this node."""
    if not options.has(name):
        return True
    return str(pubkey(options.raw(name), name)) == _identity(backend)


def get_slot_leader(backend: Backend, params: Params) -> Any:
    read_commitment(backend, params.options(0))
    return _identity(backend)


def get_slot_leaders(backend: Backend, params: Params) -> Any:
    params.integer(0, "start slot")
    count = params.integer(1, "limit", low=1, high=_LEADERS_PER_CALL_MAX)
    return [_identity(backend)] * count


def get_leader_schedule(backend: Backend, params: Params) -> Any:
    # The slot may be left out, and then the configuration takes its place.
    slot_given = params.has(0) and isinstance(params.raw(0, "slot"), int)
    options = params.options(1 if slot_given or not params.has(0) else 0)
    now = backend.ledger.slot_at(read_commitment(backend, options))
    wanted = params.integer(0, "slot") if slot_given else now
    if wanted // SLOTS_PER_EPOCH > now // SLOTS_PER_EPOCH + 1:
        return None  # a schedule is known one epoch ahead
    if not _is_about_us(backend, options, "identity"):
        return {}
    return {_identity(backend): list(range(SLOTS_PER_EPOCH))}


def get_vote_accounts(backend: Backend, params: Params) -> Any:
    """This node, without a stake: what it executes is confirmed without anybody's vote."""
    options = params.options(0)
    now = backend.ledger.slot_at(read_commitment(backend, options))
    ours = {
        "votePubkey": _identity(backend),
        "nodePubkey": _identity(backend),
        "activatedStake": 0,
        "epochVoteAccount": True,
        "commission": 0,
        "lastVote": now,
        "rootSlot": backend.ledger.slot_at(Commitment.FINALIZED),
        "epochCredits": [],
    }
    return {
        "current": [ours] if _is_about_us(backend, options, "votePubkey") else [],
        "delinquent": [],
    }


def get_block_production(backend: Backend, params: Params) -> Any:
    options = params.options(0)
    commitment = read_commitment(backend, options)
    now = backend.ledger.slot_at(commitment)
    wanted = Options(_range(options))
    first = wanted.integer("firstSlot")
    if first is None:
        first = now - now % SLOTS_PER_EPOCH
    last = wanted.integer("lastSlot")
    if last is None:
        last = now
    if not first <= last <= now:
        raise invalid_params(f"range: expected firstSlot <= lastSlot <= {now}")
    if last - first > SLOTS_PER_EPOCH:
        raise invalid_params(f"range: at most {SLOTS_PER_EPOCH} slots")
    blocks = len(backend.ledger.store.slots_with_blocks(first, last, last - first + 1))
    by_identity = {}
    if _is_about_us(backend, options, "identity"):
        by_identity = {_identity(backend): [last - first + 1, blocks]}
    value = {"byIdentity": by_identity, "range": {"firstSlot": first, "lastSlot": last}}
    return with_context(backend, commitment, value)


def _range(options: Options) -> dict[str, Any]:
    value = options.raw("range") or {}
    if not isinstance(value, dict):
        raise invalid_params("range: expected an object")
    return value


def get_recent_performance_samples(backend: Backend, params: Params) -> Any:
    """Minutes of this ledger, newest first, by the length of a slot; none before it is a minute old."""
    count = _SAMPLES_MAX
    if params.has(0):
        count = params.integer(0, "limit", high=_SAMPLES_MAX)
    ledger = backend.ledger
    slots = max(_SAMPLE_S * 1000 // ledger.slot_ms, 1)
    samples = []
    for index in range(min(count, ledger.slot // slots)):
        last = ledger.slot - index * slots
        transactions = ledger.store.count_between(last - slots + 1, last)
        samples.append(
            {
                "slot": last,
                "numTransactions": transactions,
                "numNonVoteTransactions": transactions,
                "numSlots": slots,
                "samplePeriodSecs": _SAMPLE_S,
            }
        )
    return samples


def get_block_commitment(backend: Backend, params: Params) -> Any:
    """Nobody votes, so no stake has either."""
    params.integer(0, "slot")
    return {"commitment": None, "totalStake": 0}


def get_highest_snapshot_slot(backend: Backend, params: Params) -> Any:
    raise RpcError(NO_SNAPSHOT, "No snapshot")


def get_newest_slot(backend: Backend, params: Params) -> Any:
    return backend.ledger.slot


METHODS = {
    "getBlockCommitment": Method(get_block_commitment, 1),
    "getBlockProduction": Method(get_block_production, 1),
    "getHighestSnapshotSlot": Method(get_highest_snapshot_slot, 0),
    "getLeaderSchedule": Method(get_leader_schedule, 2),
    "getMaxRetransmitSlot": Method(get_newest_slot, 0),
    "getMaxShredInsertSlot": Method(get_newest_slot, 0),
    "getRecentPerformanceSamples": Method(get_recent_performance_samples, 1),
    "getSlotLeader": Method(get_slot_leader, 1),
    "getSlotLeaders": Method(get_slot_leaders, 2),
    "getVoteAccounts": Method(get_vote_accounts, 1),
}
