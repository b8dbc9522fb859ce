"""An account's money."""

from collections.abc import Awaitable, Callable

from ..store import tasks
from ..store.accounts import Account
from ..store.database import Database
from .funds import Balance, Deposit


class Balances:
    """What accounts have.

    Args:
        deposit: reads a wallet's client account on the chain; raises `Unavailable`.
    """

    def __init__(self, database: Database, deposit: Callable[[str], Awaitable[Deposit]]) -> None:
        self._database = database
        self._deposit = deposit

    async def of(self, account: Account) -> Balance:
        """The account's money now.

        Raises:
            Unavailable: the chain does not answer.
        """
        deposit = await self._deposit(account.wallet)
        held = await self._database.read(lambda conn: tasks.held_micro_usdc(conn, account.wallet))
        return Balance.of(deposit, held)
