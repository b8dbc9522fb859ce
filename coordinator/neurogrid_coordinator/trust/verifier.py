"""Looks at groups of runs: the asyncio shell around `groups`, with what it must ask others for."""

from collections.abc import Awaitable, Callable

from sqlalchemy import Connection

from neurogrid_marketplace.comparator import ComparatorKind
from neurogrid_marketplace.image_comparison import NoVerdict, Same, answer_file, read_answer
from neurogrid_marketplace.messages import Result
from neurogrid_marketplace.task import TERMINAL, Task
from neurogrid_marketplace.verification import same_files

from ..money.client_funds import ClientFunds
from ..services.funds import Balance
from ..store import accounts, tasks
from ..store.database import Database
from . import groups
from .comparisons import ComparisonFailed, Comparisons
from .groups import Answers, Looked


class Verifier:
    """Judges groups.

    Args:
        funds: what a client's wallet has on the chain; raises `RpcError`.
        is_checked: draws whether a task that was paid is run once more.
    """

    def __init__(
        self,
        *,
        database: Database,
        funds: Callable[[str], Awaitable[ClientFunds]],
        comparisons: Comparisons,
        is_checked: Callable[[Connection, Task], bool],
        now_ms: Callable[[], int],
    ) -> None:
        self._database = database
        self._funds = funds
        self._comparisons = comparisons
        self._is_checked = is_checked
        self._now_ms = now_ms

    async def look(self, group: str) -> Looked:
        """Do what a group's runs call for now.

        Raises:
            RpcError: a further run is due, and the chain does not say what the client has.
        """
        if await self._database.read(groups.waits, group):
            return Looked()
        same = await self._same(group)
        looked = await self._look(group, same, None)
        if not looked.lacks_funds:
            return looked
        wallet = await self._database.read(_wallet_of, group)
        funds = await self._funds(wallet)

        def spendable(conn: Connection) -> int:
            return Balance.of(funds, tasks.held_micro_usdc(conn, wallet)).available_micro_usdc

        return await self._look(group, same, spendable)

    async def _same(self, group: str) -> Same | str | None:
        """The comparator of these runs; why there is none, if it has failed; None: not yet."""
        found = await self._database.read(groups.answers, group)
        if found is None:
            return _not_compared
        try:
            if found.comparator.kind is ComparatorKind.IMAGE:
                return await self._said(found)
            return await self._comparisons.of(found.comparator, found.results)
        except (ComparisonFailed, NoVerdict) as error:
            return str(error)

    async def _said(self, found: Answers) -> Same | None:
        """What the client's own image says of a group's results, once it has seen them."""
        if not found.shown:
            return same_files
        comparison = found.comparison
        if comparison is None or comparison.phase not in TERMINAL:
            return None
        if comparison.result is None:
            ending = comparison.ending
            raise NoVerdict(ending.message if ending is not None else "it did not run")
        file = answer_file(comparison.result)
        answer = await self._comparisons.content(file) if file is not None else None
        return read_answer(comparison.result, answer, found.shown)

    async def _look(
        self, group: str, same: Same | str | None, spendable: Callable[[Connection], int] | None
    ) -> Looked:
        return await self._database.write(
            groups.look,
            group,
            same=same,
            is_checked=self._is_checked,
            spendable_micro_usdc=spendable,
            now_ms=self._now_ms(),
        )


def _not_compared(one: Result, other: Result) -> bool:
    raise AssertionError("a look that compares results has found none a moment before")


def _wallet_of(conn: Connection, task_id: str) -> str:
    row = tasks.get(conn, task_id)
    assert row is not None, "a group has its task"
    account = accounts.get(conn, row.account_id)
    assert account is not None, "a task refers to its account"
    return account.wallet
