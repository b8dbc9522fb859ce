"""Sums over tasks and leases. Each scans what it sums, so its callers keep the answers for a while."""

from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, case, func, or_, select

from neurogrid_marketplace.faults import CONSEQUENCES, Fault
from neurogrid_marketplace.reputation import FindingKind
from neurogrid_marketplace.task import Phase

from .tables import findings, leases, tasks

# As `findings.add` writes down how a run ended: by its node's fault.
_BY_NODE = [
    f'"outcome":"{outcome.value}"'
    for outcome, follows in CONSEQUENCES.items()
    if follows.fault is Fault.NODE
]
_FAILED = [Phase.FAILED.value, Phase.EXPIRED.value]


@dataclass(frozen=True, slots=True)
class TaskFigures:
    """Of tasks that ended in a span of time.

    Attributes:
        completed, failed, cancelled: how many.
        ran_ms: from start to end, all that ran together; ran: how many those are.
        waited_ms: from submission to start, all together.
        cost_micro_usdc: what they cost.
    """

    completed: int
    failed: int
    cancelled: int
    ran: int
    ran_ms: int
    waited_ms: int
    cost_micro_usdc: int

    @property
    def ended(self) -> int:
        """All of them."""
        return self.completed + self.failed + self.cancelled

    @property
    def success_rate(self) -> float:
        """Completed of completed and failed; 1 of none."""
        decided = self.completed + self.failed
        return round(self.completed / decided, 4) if decided else 1.0


def of_ended(
    conn: Connection,
    since_ms: int,
    *,
    account_id: str | None = None,
    kind: str | None = None,
    model: str | None = None,
    phases: frozenset[Phase] | None = None,
) -> TaskFigures:
    """Figures of the tasks (of an account, of a kind, of a model, in these phases) that have ended since, deleted
    ones too."""
    conditions: list[ColumnElement[bool]] = [
        tasks.c.ended_at_ms >= since_ms,
        tasks.c.belongs_to.is_(None),
    ]
    if account_id is not None:
        conditions.append(tasks.c.account_id == account_id)
    if kind is not None:
        conditions.append(tasks.c.kind == kind)
    if model is not None:
        conditions.append(tasks.c.model == model)
    if phases is not None:
        conditions.append(tasks.c.phase.in_(sorted(phase.value for phase in phases)))
    ran = tasks.c.started_at_ms.is_not(None)

    def total(value: object, where: ColumnElement[bool]) -> ColumnElement[int]:
        return func.coalesce(func.sum(case((where, value), else_=0)), 0)

    row = conn.execute(
        select(
            total(1, tasks.c.phase == Phase.COMPLETED.value),
            total(1, tasks.c.phase.in_(_FAILED)),
            total(1, tasks.c.phase == Phase.CANCELLED.value),
            total(1, ran),
            total(tasks.c.ended_at_ms - tasks.c.started_at_ms, ran),
            total(tasks.c.started_at_ms - tasks.c.created_at_ms, ran),
            total(tasks.c.cost_micro_usdc, tasks.c.cost_micro_usdc > 0),
        ).where(*conditions)
    ).one()
    return TaskFigures(*(int(value) for value in row))


def cost_by_model(
    conn: Connection, account_id: str, since_ms: int, without_kind: str
) -> dict[str, int]:
    """Micro-USDC that an account's tasks with a model cost (but for those of a kind) that have ended since; by its id."""
    query = (
        select(tasks.c.model, func.sum(tasks.c.cost_micro_usdc))
        .where(
            tasks.c.ended_at_ms >= since_ms,
            tasks.c.belongs_to.is_(None),
            tasks.c.account_id == account_id,
            tasks.c.model.is_not(None),
            tasks.c.kind != without_kind,
        )
        .group_by(tasks.c.model)
    )
    return {str(model): int(cost) for model, cost in conn.execute(query)}


def created(conn: Connection, since_ms: int) -> int:
    """How many tasks were submitted since, by all accounts."""
    query = select(func.count()).where(
        tasks.c.created_at_ms >= since_ms, tasks.c.belongs_to.is_(None)
    )
    return conn.scalar(query) or 0


def metered_ms(conn: Connection, account_id: str | None = None, since_ms: int = 0) -> int:
    """For how long jobs have run, by their nodes' meters; of leases that were made since."""
    query = select(func.coalesce(func.sum(leases.c.metered_ms), 0)).where(
        leases.c.created_at_ms >= since_ms
    )
    if account_id is not None:
        query = query.where(leases.c.account_id == account_id)
    return int(conn.scalar(query) or 0)


def leases_and_failed(conn: Connection, since_ms: int) -> tuple[int, int]:
    """How many leases were made since, and of how many the node failed: by its own fault, not by an image that
    nobody has, nor by the network."""
    made = conn.scalar(select(func.count()).where(leases.c.created_at_ms >= since_ms)) or 0
    failed = (
        conn.scalar(
            select(func.count()).where(
                findings.c.at_ms >= since_ms,
                findings.c.kind == FindingKind.FAILED.value,
                or_(
                    *(
                        findings.c.finding_json.contains(words, autoescape=True)
                        for words in _BY_NODE
                    )
                ),
            )
        )
        or 0
    )
    return made, failed
