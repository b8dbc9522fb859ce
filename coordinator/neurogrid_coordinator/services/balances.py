"""An account's money."""

from collections.abc import Awaitable, Callable

from neurogrid_wallet.errors import RpcError

from ..money.client_funds import ClientFunds
from ..store import tasks
from ..store.accounts import Account
from ..store.database import Database
from .errors import Unavailable
from .funds import Balance


class Balances:
    """What accounts have.

    Args:
        funds: what a wallet has on the chain; raises `RpcError` where the chain is away.
    """

    def __init__(self, database: Database, funds: Callable[[str], Awaitable[ClientFunds]]) -> None:
        self._database = database
        self._funds = funds

    async def of(self, account: Account) -> Balance:
        """The account's money now.

        Raises:
            Unavailable: the chain does not answer.
        """
        funds = await self.funds(account)
        held = await self._database.read_briefly(tasks.held_micro_usdc, account.wallet)
        return Balance.of(funds, held)

    async def funds(self, account: Account) -> ClientFunds:
        """What the account's wallet has on the chain, held or not.

        Raises:
            Unavailable: the chain does not answer.
        """
        try:
            return await self._funds(account.wallet)
        except RpcError as error:
            raise Unavailable(
                "the chain does not answer, so your balance is not known; try again in a moment"
            ) from error
