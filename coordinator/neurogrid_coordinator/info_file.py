"""coordinator.json: where the running coordinator is, for its commands and for a devnet."""

import asyncio
import json
import logging
import os
from collections.abc import Mapping
from pathlib import Path

from neurogrid_telemetry.log_lines import named

from .log_events import CoordinatorEvent
from .market.client import MarketClient
from .server.http_server import Place
from .setup import INFO_FILE

_log = logging.getLogger(__name__)

_INFO_INTERVAL_S = 0.1


async def say_where(
    directory: Path, place: Place, market: MarketClient, told: Mapping[str, object]
) -> None:
    """Keep coordinator.json true: the market's pid changes when it is restarted."""
    written: dict[str, object] = {}
    while True:
        info: dict[str, object] = {
            "api_url": place.url,
            "api_pid": os.getpid(),
            "market_pid": market.pid,
            "peer_id": market.peer_id,
            "p2p_addresses": list(market.addresses),
            "discovery_addresses": list(market.discovery_addresses),
            **told,
        }
        if market.pid is not None and info != written:
            await asyncio.to_thread(write_info, directory, info)
            written = info
            _log.info("up: %s", place.url, extra=named(CoordinatorEvent.UP))
        await asyncio.sleep(_INFO_INTERVAL_S)


def write_info(directory: Path, document: Mapping[str, object]) -> None:
    """Have coordinator.json say this."""
    path = directory / INFO_FILE
    partial = path.with_name(path.name + ".partial")
    partial.write_text(json.dumps(document, indent=2) + "\n")
    partial.replace(path)
