"""Moving the chain's clock, so that nobody has to wait for its windows."""

from datetime import UTC, datetime
from pathlib import Path

import trio

from neurogrid_wallet.errors import RpcError
from neurogrid_wallet.rpc import Rpc

from .errors import DevnetError, NotRunning
from .layout import Layout
from .market_setup import LedgerInfo, read_ledger_info


def warp(layout: Layout, seconds: int) -> str:
    """Move the clock of a running devnet's chain forward; returns what it shows then, in words.

    Raises:
        NotRunning: no devnet runs here.
        DevnetError: its ledger refuses, or does not answer.
    """
    info = read_ledger_info(layout) if layout.is_locked() else None
    if info is None:
        raise NotRunning(f"no devnet runs in {layout.root}: start it with `neurogrid devnet up`")
    try:
        moment = datetime.fromtimestamp(trio.run(_warp, info, seconds), UTC)
    except (RpcError, OSError) as error:
        raise DevnetError(f"the ledger's clock was not moved: {error}") from error
    return f"the chain's clock shows {moment:%Y-%m-%d %H:%M:%S} UTC"


async def _warp(info: LedgerInfo, seconds: int) -> int:
    key = await trio.Path(Path(info.control_key_file)).read_text()
    async with Rpc(info.rpc_url) as rpc:
        done = await rpc.call("neurogrid_warp", [{"key": key.strip(), "seconds": seconds}])
    return int(done["unix_time"])
