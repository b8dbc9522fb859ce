"""What `neurogrid-coordinator reconcile` does: one comparison of books and chain, now."""

import asyncio
import time
from pathlib import Path

from solders.pubkey import Pubkey

from neurogrid_wallet.rpc import Rpc

from ..config import Config
from ..money.reconciler import Reconciler, nothing_undecided
from ..money.vouchers import lease_key
from ..setup import Keys, database_place
from ..store import differences
from ..store.database import Database
from ..store.differences import SeenDifference


async def reconcile_now(
    config: Config, directory: Path, keys: Keys, *, days: int, patience_s: float
) -> list[SeenDifference]:
    """Look, and where something differs look again; what is unresolved then.

    Args:
        days: histories of leases that were settled longer ago are not read again.
        patience_s: before the second look. A running coordinator notices within ten seconds what
            the chain has done; its payments under way cannot be seen from here.

    Raises:
        RpcError: the chain is away.
        AccountFormatError: the program is of another version than we are.
    """
    deployment = config.chain.deployment
    since_ms = _now_ms() - days * 86_400_000
    async with (
        Database.open(database_place(directory, config.database)) as database,
        Rpc(config.chain.rpc_url) as rpc,
    ):
        reconciler = Reconciler(
            database=database,
            rpc=rpc,
            deployment=deployment,
            operator=Pubkey(keys.operator.public_key),
            voucher_signer=lambda lease_id: lease_key(keys.session, lease_id).address,
            undecided=nothing_undecided,
            now_ms=_now_ms,
        )
        await reconciler.reconcile(audit_since_ms=since_ms)
        if reconciler.found_something:
            await asyncio.sleep(patience_s)
            await reconciler.reconcile(audit_since_ms=since_ms)
        return await database.read(differences.unresolved)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
