"""An api that does nothing but have a market: ``market_parent.py KEY_FILE NETWORK`` prints its pid."""

import asyncio
import sys

from neurogrid_coordinator.market.client import MarketClient
from neurogrid_coordinator.market.settings import MarketSettings


async def ignore(*said: object) -> None:
    """A callback."""


async def main(key_file: str, network: str) -> None:
    """Print the child's process id, then wait for ever."""
    settings = MarketSettings(key_file, network, ("/ip4/127.0.0.1/tcp/0",))
    async with MarketClient(settings, ignore, ignore) as market:
        print(market.pid, flush=True)
        await asyncio.sleep(3600)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2]))
