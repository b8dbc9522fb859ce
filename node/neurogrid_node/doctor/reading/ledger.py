"""Asks the chain's endpoint for the market and for what the owner has there."""

import time

import httpx2
from solders.pubkey import Pubkey

from neurogrid_contracts.accounts import ConfigAccount
from neurogrid_contracts.clock import CLOCK_SYSVAR, unix_time_s
from neurogrid_wallet.errors import RpcError
from neurogrid_wallet.rpc import Rpc

from ...money.chain import Market
from ...money.holdings import Holdings, read_holdings
from ...settings.money import ChainConfig
from ..ledger import LedgerFacts


async def read_ledger_facts(chain: ChainConfig) -> LedgerFacts:
    """The market at the endpoint."""
    deployment = chain.deployment()
    try:
        async with Rpc(chain.rpc_url) as rpc:
            genesis_hash = await rpc.call("getGenesisHash", retry=True)
            program, config, clock = await rpc.get_accounts(
                [deployment.program_id, deployment.config, CLOCK_SYSVAR]
            )
    except (RpcError, httpx2.InvalidURL) as error:
        return LedgerFacts(away=str(error))
    no_market = ""
    lag_s = None
    try:
        ConfigAccount.parse(config.data if config else b"")
    except ValueError as error:
        no_market = f"no market at {deployment.config}: {error}"
    if clock is not None:
        try:
            lag_s = int(time.time()) - unix_time_s(clock.data)
        except ValueError as error:
            no_market = no_market or f"the chain's clock cannot be read: {error}"
    return LedgerFacts(
        away="",
        genesis_hash=str(genesis_hash),
        wanted=chain.genesis_hash,
        has_program=program is not None,
        no_market=no_market,
        lag_s=lag_s,
        second_away=await _second_away(chain),
    )


async def read_owner(chain: ChainConfig, wallet: Pubkey) -> Holdings:
    """What the owner has.

    Raises:
        MarketMissing, RpcError: it cannot be read.
    """
    async with Rpc(chain.rpc_url) as rpc:
        return await read_holdings(Market(rpc, chain.deployment(), wallet, chain.genesis_hash))


async def _second_away(chain: ChainConfig) -> str:
    if not chain.second_rpc_url:
        return ""
    try:
        async with Rpc(chain.second_rpc_url) as rpc:
            genesis_hash = await rpc.call("getGenesisHash", retry=True)
    except (RpcError, httpx2.InvalidURL) as error:
        return str(error)
    return "" if genesis_hash == chain.genesis_hash else f"it is of the chain {genesis_hash}"
