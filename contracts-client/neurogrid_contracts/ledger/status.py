"""What the status page shows, read on the owner thread as one moment of the chain."""

from dataclasses import dataclass
from typing import Any

from solders.account import Account
from solders.pubkey import Pubkey
from solders.signature import Signature

from neurogrid_contracts.ledger.backend import Backend
from neurogrid_contracts.ledger.faults import Fault
from neurogrid_contracts.ledger.ledger import Commitment
from neurogrid_contracts.ledger.narration import Names
from neurogrid_contracts.ledger.store import StoredTransaction
from neurogrid_contracts.ledger.svm import UPGRADEABLE_LOADER

# A screenful; the RPC's history pages through the rest.
TRANSACTIONS_SHOWN = 25
_PROGRAMS_SHOWN = 50


@dataclass(frozen=True, slots=True)
class Listed:
    """A transaction, and how settled it is."""

    stored: StoredTransaction
    commitment: Commitment


@dataclass(frozen=True, slots=True)
class Overview:
    """The ledger as a whole.

    Args:
        slots: the newest slot of each commitment.
        faults: percent of the requests that each fault strikes; only those that do.
    """

    info: dict[str, Any]
    names: Names
    slots: dict[Commitment, int]
    unix_time: int
    slot_ms: int
    accounts: int
    transactions: int
    programs: tuple[str, ...]
    faults: dict[str, int]
    recent: tuple[Listed, ...]


@dataclass(frozen=True, slots=True)
class AddressView:
    """An address: its account, if there is one, and its newest transactions."""

    address: Pubkey
    account: Account | None
    recent: tuple[Listed, ...]


def names(backend: Backend) -> Names:
    genesis = backend.ledger.genesis
    return Names(genesis.program_id, genesis.usdc_mint, genesis.faucet.pubkey())


def overview(backend: Backend) -> Overview:
    ledger = backend.ledger
    programs = ledger.program_accounts(UPGRADEABLE_LOADER, Commitment.PROCESSED)
    executable = [str(address) for address, account in programs if account.executable]
    plan = backend.faults.plan
    return Overview(
        info=backend.info,
        names=names(backend),
        slots={commitment: ledger.slot_at(commitment) for commitment in Commitment},
        unix_time=ledger.svm.unix_time,
        slot_ms=ledger.slot_ms,
        accounts=ledger.store.count_accounts(),
        transactions=ledger.store.last_id(),
        programs=tuple(executable[:_PROGRAMS_SHOWN]),
        faults={fault.value: plan.percent(fault) for fault in Fault if plan.percent(fault)},
        recent=_listed(backend, ledger.store.newest(TRANSACTIONS_SHOWN)),
    )


def transaction(backend: Backend, signature: Signature) -> Listed | None:
    stored = backend.ledger.store.transaction(signature)
    return None if stored is None else _listed(backend, [stored])[0]


def address(backend: Backend, wanted: Pubkey) -> AddressView:
    store = backend.ledger.store
    brief = store.transactions_of(
        wanted, before_id=None, after_id=None, slot_max=2**62, limit=TRANSACTIONS_SHOWN
    )
    whole = [found for each in brief if (found := store.transaction(each.signature)) is not None]
    account = backend.ledger.account(wanted, Commitment.PROCESSED)
    return AddressView(wanted, account, _listed(backend, whole))


def _listed(backend: Backend, stored: list[StoredTransaction]) -> tuple[Listed, ...]:
    return tuple(Listed(each, backend.ledger.commitment_of(each.slot)) for each in stored)
