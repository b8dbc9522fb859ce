"""Opening what a coordinator writes down: its database, and the payments that it makes.

On a SQLite file both belong to one directory, whose outbox has one owner. On a PostgreSQL server several
coordinators may be started on one database: one leads, the others stand by until it is gone.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from neurogrid_contracts.chain_payments import open_outbox
from neurogrid_wallet.outbox import Outbox
from neurogrid_wallet.rpc import Rpc
from neurogrid_wallet.transactions import signers_from

from .config import Config
from .setup import PAYMENTS_FILE, Keys, database_place
from .store.database import Database
from .store.places import Server

if TYPE_CHECKING:
    from .store.lead import Lead


@asynccontextmanager
async def open_books(
    config: Config,
    directory: Path,
    keys: Keys,
    standing_by: "Callable[[Database, Server], AbstractAsyncContextManager[Lead]]",
) -> AsyncIterator[tuple[Rpc, Outbox, Database]]:
    """The chain's endpoint, the payments and the database, once they are ours alone.

    Args:
        standing_by: lasts until nobody else leads on a server's database, and gives the lead.

    Raises:
        OutboxInUse: another coordinator runs on this directory.
        ConfigError, Overloaded, DatabaseInUse, ServerUnfit, SchemaTooNew: of the database, as of `Database.open`.
    """
    place = database_place(directory, config.database)
    signers = signers_from([keys.operator])
    queue_max = config.limits.database_queue
    if isinstance(place, Path):
        # The outbox first: nothing is migrated beside another coordinator or `migrate`.
        async with (
            open_outbox(config.chain, directory / PAYMENTS_FILE, signers) as (rpc, outbox),
            Database.open(place, queue_max=queue_max) as database,
        ):
            yield rpc, outbox, database
        return
    async with (
        Database.open(place, queue_max=queue_max) as database,
        standing_by(database, place) as lead,
        open_outbox(config.chain, lead, signers) as (rpc, outbox),
    ):
        yield rpc, outbox, database
