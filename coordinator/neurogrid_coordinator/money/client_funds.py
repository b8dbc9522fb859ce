"""What clients' wallets have on the chain: read seldom, kept a while, known while the chain is away."""

import asyncio
import time
from collections import OrderedDict
from dataclasses import dataclass

from solders.pubkey import Pubkey

from neurogrid_contracts.accounts import ClientAccount
from neurogrid_contracts.clock import CLOCK_SYSVAR
from neurogrid_contracts.deployment import Deployment
from neurogrid_wallet.errors import RpcError, RpcUnavailable
from neurogrid_wallet.rpc import Rpc
from neurogrid_wallet.usdc import token_amount

from .market_terms import unix_s

# What a wallet has is read again after this; a coordinator whose chain is away goes on with what it
# knew for an hour (architecture, section 3).
_FUNDS_FRESH_S = 2.0
_FUNDS_STALE_MAX_S = 3600.0
_FUNDS_KEPT = 10_000
# A client waits for a chain that hangs: longer where nothing is known.
_WAIT_S = 5.0
_WAIT_KNOWN_S = 0.5


@dataclass(frozen=True, slots=True)
class ClientFunds:
    """What a wallet has, micro-USDC.

    Attributes:
        balance: in its client account, locked part included; locked: of it, in escrows.
        operator_limit: what we may still open escrows for; 0 if we are not its operator (any more).
        wallet: in its own token account, not deposited.
    """

    balance_micro_usdc: int
    locked_micro_usdc: int
    operator_limit_micro_usdc: int
    wallet_micro_usdc: int


class FundsReader:
    """Reads what wallets have.

    Args:
        operator: our wallet; what clients let it spend counts.
    """

    def __init__(self, rpc: Rpc, deployment: Deployment, operator: Pubkey) -> None:
        self._rpc = rpc
        self._deployment = deployment
        self._operator = operator
        self._known: OrderedDict[str, tuple[float, ClientFunds]] = OrderedDict()
        self._reading: dict[str, asyncio.Task[ClientFunds]] = {}

    async def get(self, wallet: str) -> ClientFunds:
        """What a wallet has; read at most every two seconds, and old where the chain is away.

        Raises:
            RpcError: the chain is away, and nothing is known from the last hour.
        """
        known = self._known.get(wallet)
        if known is not None and time.monotonic() - known[0] < _FUNDS_FRESH_S:
            return known[1]
        reading = self._reading.get(wallet)
        if reading is None:
            reading = asyncio.create_task(self._read(wallet))
            self._reading[wallet] = reading
            reading.add_done_callback(lambda task: self._read_ended(wallet, task))
        if known is not None and time.monotonic() - known[0] > _FUNDS_STALE_MAX_S:
            known = None
        try:
            # Shared by all who ask meanwhile: one that is cancelled does not cancel the others.
            async with asyncio.timeout(_WAIT_S if known is None else _WAIT_KNOWN_S):
                return await asyncio.shield(reading)
        except (RpcError, TimeoutError) as error:
            if known is not None:
                return known[1]
            if isinstance(error, RpcError):
                raise
            raise RpcUnavailable("getMultipleAccounts", "no answer in time") from error

    def changed(self, wallet: str) -> None:
        """Something of ours changed what this wallet has: read it anew."""
        known = self._known.get(wallet)
        if known is not None:
            self._known[wallet] = (known[0] - _FUNDS_FRESH_S, known[1])

    def _read_ended(self, wallet: str, reading: asyncio.Task[ClientFunds]) -> None:
        del self._reading[wallet]
        if not reading.cancelled():
            # Whoever asked may have stopped waiting; an error that nobody hears is no news.
            reading.exception()

    async def _read(self, wallet: str) -> ClientFunds:
        owner = Pubkey.from_string(wallet)
        client_data, token_data, clock_data = await self._rpc.get_accounts(
            [self._deployment.client(owner), self._deployment.token_account(owner), CLOCK_SYSVAR]
        )
        in_wallet = token_amount(token_data.data) if token_data else 0
        funds = ClientFunds(0, 0, 0, in_wallet)
        if client_data is not None:
            client = ClientAccount.parse(client_data.data)
            funds = ClientFunds(
                client.balance_micro_usdc,
                client.locked_micro_usdc,
                client.limit_micro_usdc(self._operator, unix_s(clock_data)),
                in_wallet,
            )
        self._known[wallet] = (time.monotonic(), funds)
        self._known.move_to_end(wallet)
        if len(self._known) > _FUNDS_KEPT:
            self._known.popitem(last=False)
        return funds
