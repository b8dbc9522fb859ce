"""Has the market process tell node owners what awards cleared at: of a week, made anew every few minutes."""

import asyncio
from collections.abc import Callable

from neurogrid_marketplace.price_history import HOUR_MS
from neurogrid_marketplace.price_sheet import PriceSheet, make_sheet

from .services.prices import by_class
from .store import prices
from .store.database import Database

HOURS = 7 * 24
_INTERVAL_S = 300.0


async def tell_prices(
    database: Database, tell: Callable[[PriceSheet], None], now_ms: Callable[[], int]
) -> None:
    """Tell them until this is cancelled."""
    while True:
        tell(await read_sheet(database, now_ms()))
        await asyncio.sleep(_INTERVAL_S)


async def read_sheet(database: Database, now_ms: int) -> PriceSheet:
    """What the last week's awards cleared at, of all accounts together."""
    found = await database.read(prices.since, now_ms - HOURS * HOUR_MS)
    return make_sheet((each.summary for each in by_class(found)), HOURS, now_ms)
