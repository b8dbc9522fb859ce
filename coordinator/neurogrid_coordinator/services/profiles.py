"""What an account says of itself."""

from dataclasses import replace

from ..store import accounts
from ..store.accounts import Account
from ..store.database import Database


class Profiles:
    """The settings of accounts."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def set_signs_writes(self, account: Account, signs_writes: bool) -> Account:
        """Say whether all that the account changes has to be signed; the account as it is then."""
        await self._database.write(accounts.set_signs_writes, account.id, signs_writes)
        return replace(account, signs_writes=signs_writes)
