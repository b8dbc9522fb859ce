"""Figures over time: of the market, of an account. docs/analytics.md says what each is."""

import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from sqlalchemy import Connection

from neurogrid_marketplace.task import Phase
from neurogrid_marketplace.unit_price import ModelUnit

from ..store import account_limits, analytics, task_lists, unit_counts, use
from ..store.account_limits import AccountLimits
from ..store.accounts import Account
from ..store.analytics import TaskFigures
from ..store.database import Database
from ..store.task_lists import TaskFilter
from .budgets import month_start_ms
from .submission import MODEL_KIND, REPLICA_KIND

T = TypeVar("T")

DAY_MS = 86_400_000
# Sums scan the tables: the same question is answered from memory for so long.
_KEPT_S = 5.0
_KEPT_MAX = 1000
_UPTIME_MS = 30 * DAY_MS


@dataclass(frozen=True, slots=True)
class MarketFigures:
    """Of the whole market.

    Attributes:
        tasks_today: submitted since midnight, UTC.
        day: of tasks that ended in the last 24 hours.
        leases, failed: made in the last 30 days, and those of them whose node failed.
        metered_ms: for how long jobs have run since the beginning.
    """

    tasks_today: int
    day: TaskFigures
    leases: int
    failed: int
    metered_ms: int


@dataclass(frozen=True, slots=True)
class MonthFigures:
    """Of an account in this month, and its limits.

    Attributes:
        tokens: that models have written for it.
        models: what its requests to each model came to, by its id.
        model_costs: micro-USDC of those of its tasks that have ended, by the same.
    """

    ended: TaskFigures
    metered_ms: int
    tokens: int
    models: Mapping[str, Mapping[ModelUnit, int]]
    model_costs: Mapping[str, int]
    limits: AccountLimits


class Analytics:
    """Answers questions about what has happened; each answer is up to five seconds old."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._kept: OrderedDict[tuple[object, ...], tuple[float, object]] = OrderedDict()

    async def market(self) -> MarketFigures:
        """Figures of the whole market."""
        now_ms = _now_ms()

        def read(conn: Connection) -> MarketFigures:
            made, failed = analytics.leases_and_failed(conn, now_ms - _UPTIME_MS)
            return MarketFigures(
                tasks_today=analytics.created(conn, now_ms - now_ms % DAY_MS),
                day=analytics.of_ended(conn, now_ms - DAY_MS),
                leases=made,
                failed=failed,
                metered_ms=analytics.metered_ms(conn),
            )

        return await self._answer(("market",), read)

    async def ended(
        self,
        span_ms: int,
        *,
        account: Account | None = None,
        kind: str | None = None,
        model: str | None = None,
        phases: frozenset[Phase] | None = None,
    ) -> TaskFigures:
        """Of the tasks (of an account, of a kind, of a model, in these phases) that ended within so long before
        now."""
        account_id = account.id if account else None
        since_ms = _now_ms() - span_ms
        return await self._answer(
            ("ended", span_ms, account_id, kind, model, phases),
            lambda conn: analytics.of_ended(
                conn, since_ms, account_id=account_id, kind=kind, model=model, phases=phases
            ),
        )

    async def answers(self) -> int:
        """How often models have answered: tasks that have completed, and answers of replicas, of all accounts, since the beginning."""
        return await self._answer(
            ("answers",),
            lambda conn: analytics.of_ended(conn, 0, kind=MODEL_KIND).completed + use.answers(conn),
        )

    async def submitted(
        self,
        span_ms: int,
        account: Account,
        phases: frozenset[Phase],
        *,
        kind: str | None = None,
        model: str | None = None,
    ) -> int:
        """How many of the account's tasks that were submitted within so long before now are in these phases."""
        which = TaskFilter(
            account.id,
            phases,
            None if kind is None else frozenset({kind}),
            model=model,
            created_after_ms=_now_ms() - span_ms,
        )
        return await self._answer(
            ("submitted", span_ms, account.id, kind, model, phases),
            lambda conn: task_lists.count(conn, which),
        )

    async def phases(self, account: Account) -> dict[str, int]:
        """How many of the account's tasks are in each phase now."""
        found = await self._answer(
            ("phases", account.id), lambda conn: task_lists.count_by_phase(conn, account.id)
        )
        return {phase.value: number for phase, number in found.items()}

    async def month(self, account: Account) -> MonthFigures:
        """The account's month so far."""
        since_ms = month_start_ms(_now_ms())
        return await self._answer(
            ("month", since_ms, account.id),
            lambda conn: MonthFigures(
                analytics.of_ended(conn, since_ms, account_id=account.id),
                analytics.metered_ms(conn, account.id, since_ms),
                unit_counts.total(conn, account.id, (ModelUnit.OUTPUT_TOKEN,), since_ms),
                unit_counts.by_model(conn, account.id, since_ms),
                analytics.cost_by_model(conn, account.id, since_ms, REPLICA_KIND),
                account_limits.get(conn, account.id),
            ),
        )

    async def _answer(self, question: tuple[object, ...], read: Callable[[Connection], T]) -> T:
        kept = self._kept.get(question)
        if kept is not None and time.monotonic() - kept[0] < _KEPT_S:
            return kept[1]  # type: ignore[return-value]  # the same question has the same type of answer
        answer = await self._database.read(read)
        self._kept[question] = (time.monotonic(), answer)
        if len(self._kept) > _KEPT_MAX:
            self._kept.popitem(last=False)
        return answer


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
