"""Methods about all the SOL there is. It was made at genesis; fees burn it and nothing adds to it."""

from typing import Any

from solders.pubkey import Pubkey

from neurogrid_contracts.ledger.backend import Backend, Method, read_commitment, with_context
from neurogrid_contracts.ledger.errors import invalid_params
from neurogrid_contracts.ledger.params import Params, pubkey
from neurogrid_contracts.ledger.svm import SLOTS_PER_EPOCH

# As on a real node.
_LARGEST_ACCOUNTS = 20
_REWARD_ADDRESSES_MAX = 100
# What the Stake program of this SVM answers to GetMinimumDelegation.
_STAKE_LAMPORTS_MIN = 1_000_000_000


def get_supply(backend: Backend, params: Params) -> Any:
    """Every account that a transaction or genesis made, in the newest state, all circulating."""
    commitment = read_commitment(backend, params.options(0))
    total = backend.ledger.store.total_lamports()
    value = {
        "total": total,
        "circulating": total,
        "nonCirculating": 0,
        "nonCirculatingAccounts": [],
    }
    return with_context(backend, commitment, value)


def get_largest_accounts(backend: Backend, params: Params) -> Any:
    options = params.options(0)
    commitment = read_commitment(backend, options)
    wanted = options.text("filter", "circulating")
    if wanted not in ("circulating", "nonCirculating"):
        raise invalid_params("filter: expected circulating or nonCirculating")
    found: list[tuple[Pubkey, int]] = []
    if wanted == "circulating":
        found = backend.ledger.store.richest(_LARGEST_ACCOUNTS)
    largest = [{"address": str(address), "lamports": lamports} for address, lamports in found]
    return with_context(backend, commitment, largest)


def get_inflation_governor(backend: Backend, params: Params) -> Any:
    params.options(0).commitment()
    return {"initial": 0.0, "terminal": 0.0, "taper": 0.0, "foundation": 0.0, "foundationTerm": 0.0}


def get_inflation_rate(backend: Backend, params: Params) -> Any:
    epoch = backend.ledger.slot // SLOTS_PER_EPOCH
    return {"total": 0.0, "validator": 0.0, "foundation": 0.0, "epoch": epoch}


def get_inflation_reward(backend: Backend, params: Params) -> Any:
    """Nothing for anybody."""
    addresses = params.array(0, "addresses", count_max=_REWARD_ADDRESSES_MAX)
    params.options(1).integer("epoch")
    return [None for address in addresses if pubkey(address, "addresses")]


def get_stake_minimum_delegation(backend: Backend, params: Params) -> Any:
    commitment = read_commitment(backend, params.options(0))
    return with_context(backend, commitment, _STAKE_LAMPORTS_MIN)


METHODS = {
    "getInflationGovernor": Method(get_inflation_governor, 1),
    "getInflationRate": Method(get_inflation_rate, 0),
    "getInflationReward": Method(get_inflation_reward, 2),
    "getLargestAccounts": Method(get_largest_accounts, 1),
    "getStakeMinimumDelegation": Method(get_stake_minimum_delegation, 1),
    "getSupply": Method(get_supply, 1),
}
