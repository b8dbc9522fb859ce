"""What the daemon does beside its work, for as long as it lives."""

import logging
import signal
import time
from collections.abc import Callable
from pathlib import Path

import trio

from neurogrid_p2p.host import Host
from neurogrid_telemetry.log_lines import named
from neurogrid_wallet.outbox import Outbox

from .config import CONFIG_NAME, ConfigError, load_config
from .container.errors import EngineError
from .container.image_cache import ImageCache
from .container.job_engine import JobEngine
from .log_events import NodeEvent
from .market.provider import Provider
from .money.staking import Staking

_log = logging.getLogger(__name__)

# Whoever may ask for a payment again (a lease in the journal) is over long before.
_PAYMENTS_KEPT_S = 30 * 24 * 3600
# As many as the journal lists earnings: some 40 MB. One that is asked for again after so many others finds its escrow
# closed, and the program pays none twice.
_PAYMENTS_KEPT = 10_000
_HOUSEKEEPING_S = 3600
# How soon coordinators hear of an image that a job has brought.
_IMAGES_S = 15


async def follow_stake(
    staking: Staking, stake_micro_usdc: int, seen: Callable[[bool], None]
) -> None:
    """Work needs a stake in place: otherwise nobody's escrow would open."""
    await staking.ensure(stake_micro_usdc)
    await staking.follow(seen)


async def follow_images(engine: JobEngine, cache: ImageCache, provider: Provider) -> None:
    """Tell coordinators which images need no pull: jobs bring some, owners remove some."""
    while True:
        await trio.sleep(_IMAGES_S)
        try:
            images = await cache.offered(await engine.images())
        except EngineError as error:
            # What was said last stands; a bid says again whether its image is here.
            provider.tally.engine_answers = False
            _log.debug("images: %s", error)
        else:
            provider.tally.engine_answers = True
            await provider.found_images(images)


async def keep_house(outbox: Outbox) -> None:
    """Forget payments that nobody can ask for any more."""
    while True:
        forgotten = await outbox.forget_decided(time.time() - _PAYMENTS_KEPT_S, _PAYMENTS_KEPT)
        if forgotten:
            _log.info("forgot %d old payments", forgotten)
        await trio.sleep(_HOUSEKEEPING_S)


async def follow_lists(directory: Path, host: Host) -> None:
    """Read the lists of peers again at every SIGHUP."""
    with trio.open_signal_receiver(signal.SIGHUP) as signals:
        async for _ in signals:
            try:
                lists = load_config(directory / CONFIG_NAME).peers.lists()
            except ConfigError as error:
                _log.error("the lists of peers stay as they are: %s", error)
                continue
            host.admit(lists)
            _log.info(
                "peers: %d allowed, %d denied",
                len(lists.allow),
                len(lists.deny),
                extra=named(NodeEvent.PEERS_READ),
            )
