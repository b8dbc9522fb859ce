"""The market's terms, and the chain's clock, by which escrows end."""

import asyncio
import logging
from pathlib import Path

from neurogrid_contracts.accounts import AccountFormatError, ConfigAccount
from neurogrid_contracts.clock import unix_time_s
from neurogrid_contracts.deployment import Deployment
from neurogrid_wallet.errors import RpcError
from neurogrid_wallet.rpc import Account, Rpc

_log = logging.getLogger(__name__)

_CHAIN_RETRY_S = 1.0


async def load_terms(rpc: Rpc, deployment: Deployment, cache: Path) -> ConfigAccount:
    """The market's terms: those of the chain, or while it is away those that were seen last.

    Raises:
        LookupError: there is no such market on this chain.
        RpcError: the chain is away, and this coordinator has never seen it.
    """
    try:
        account = await rpc.get_account(deployment.config)
    except RpcError as error:
        try:
            return ConfigAccount.parse(await asyncio.to_thread(cache.read_bytes))
        except (FileNotFoundError, AccountFormatError):
            raise error from None
    if account is None:
        raise LookupError(
            f"there is no market at {deployment.config}: check [chain] of coordinator.toml"
        )
    terms = ConfigAccount.parse(account.data)
    await asyncio.to_thread(_write, cache, account.data)
    return terms


async def wait_for_terms(
    rpc: Rpc, deployment: Deployment, cache: Path, *, rpc_url: str
) -> ConfigAccount:
    """The market's terms, waiting for a chain that is away at the very first start.

    Args:
        rpc_url: where the chain should be, for the log.

    Raises:
        LookupError: there is no such market on this chain.
    """
    complained = False
    while True:
        try:
            return await load_terms(rpc, deployment, cache)
        except RpcError as error:
            if not complained:
                _log.warning("waiting for the chain at %s: %s", rpc_url, error)
            complained = True
            await asyncio.sleep(_CHAIN_RETRY_S)


def _write(path: Path, data: bytes) -> None:
    partial = path.with_name(path.name + ".partial")
    partial.write_bytes(data)
    partial.replace(path)


def unix_s(clock: Account | None) -> int:
    """The time that the clock sysvar tells, Unix seconds."""
    assert clock is not None, "every chain has a clock"
    return unix_time_s(clock.data)
