"""How a coordinator waits for the lead on a server's database."""

from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TYPE_CHECKING

from neurogrid_contracts.accounts import ConfigAccount
from neurogrid_wallet.rpc import Rpc

from ..money.market_terms import wait_for_terms
from ..setup import TERMS_FILE
from ..store.database import Database
from ..store.places import Server
from .ground import Ground

if TYPE_CHECKING:
    from ..store.lead import Lead


def waiting_to_lead(
    ground: Ground,
) -> Callable[[Database, Server], AbstractAsyncContextManager["Lead"]]:
    """What lasts until nobody else leads, and gives the lead; for `open_books`."""

    async def load_terms(rpc: Rpc) -> ConfigAccount:
        chain = ground.config.chain
        return await wait_for_terms(
            rpc, chain.deployment, ground.directory / TERMS_FILE, rpc_url=chain.rpc_url
        )

    @asynccontextmanager
    async def stand_by(database: Database, place: Server) -> AsyncGenerator["Lead"]:
        # The driver is an extra (`Database`).
        from .standing_by import standing_by

        async with standing_by(ground, load_terms, database, place) as lead:
            yield lead

    return stand_by
