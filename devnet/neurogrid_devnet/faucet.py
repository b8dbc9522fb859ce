"""Test money for any wallet, from a running devnet's ledger."""

import trio

from neurogrid_wallet.errors import RpcError
from neurogrid_wallet.rpc import Rpc

from .errors import DevnetError, NotRunning
from .layout import Layout
from .market_setup import read_ledger_info


def fund(layout: Layout, wallet: str, *, micro_usdc: int, sol: int) -> None:
    """Give a wallet USDC and SOL; each call gives again.

    Raises:
        NotRunning: no devnet runs here.
        DevnetError: its ledger refuses (this is no wallet's address, say), or does not answer.
    """
    info = read_ledger_info(layout) if layout.is_locked() else None
    if info is None:
        raise NotRunning(f"no devnet runs in {layout.root}: start it with `neurogrid devnet up`")
    try:
        trio.run(_fund, info.rpc_url, wallet, micro_usdc, sol * 10**9)
    except RpcError as error:
        raise DevnetError(f"the faucet gave nothing: {error}") from error


async def _fund(rpc_url: str, wallet: str, micro_usdc: int, lamports: int) -> None:
    async with Rpc(rpc_url) as rpc:
        await rpc.call("neurogrid_requestUsdc", [wallet, micro_usdc])
        await rpc.call("requestAirdrop", [wallet, lamports])
