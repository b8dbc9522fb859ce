"""Who may connect, read from coordinator.toml again at every SIGHUP."""

import asyncio
import logging
import signal
from pathlib import Path

from neurogrid_telemetry.log_lines import named

from .config import CONFIG_NAME, ConfigError, load_config
from .log_events import CoordinatorEvent
from .market.client import MarketClient

_log = logging.getLogger(__name__)


async def follow_lists(directory: Path, market: MarketClient) -> None:
    """Read the lists of peers again at every SIGHUP."""
    asked = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, asked.set)
    while True:
        await asked.wait()
        asked.clear()
        try:
            lists = load_config(directory / CONFIG_NAME).peers.lists
        except ConfigError as error:
            _log.error("the lists of peers stay as they are: %s", error)
            continue
        market.admit(lists)
        _log.info(
            "peers: %d allowed, %d denied",
            len(lists.allow),
            len(lists.deny),
            extra=named(CoordinatorEvent.PEERS_READ),
        )
