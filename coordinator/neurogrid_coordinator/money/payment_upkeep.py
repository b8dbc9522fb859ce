"""What is done about payments beside making them."""

import asyncio
import logging
import time

from neurogrid_wallet.outbox import Outbox

_log = logging.getLogger(__name__)

# A payment that is forgotten could be made again: far longer than any lease may last.
_PAYMENTS_KEPT_S = 90 * 86_400
_FORGET_INTERVAL_S = 3600
# How soon we notice that we may not work any more.
_OWNER_LOOK_S = 1.0


async def stay_owner(outbox: Outbox) -> None:
    """End when the payments are somebody else's: raises what the outbox says then."""
    while True:
        await outbox.undecided()
        await asyncio.sleep(_OWNER_LOOK_S)


async def forget_payments(outbox: Outbox) -> None:
    """Drop payments that were decided long ago."""
    while True:
        forgotten = await outbox.forget_decided(time.time() - _PAYMENTS_KEPT_S)
        if forgotten:
            _log.info("forgot %d old payments", forgotten)
        await asyncio.sleep(_FORGET_INTERVAL_S)
