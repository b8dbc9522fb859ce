"""Checks of models' answers, what they come to of each node, and who is charged with what."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import msgspec
from sqlalchemy import Connection, Row, delete, func, insert, select, update

from neurogrid_marketplace.model_check import Comparison, Judged
from neurogrid_marketplace.suspicion import Charge, Suspicion

from .tables import model_checks, model_suspicions
from .upserts import insert_or

# Whoever was charged may try again after so long: machines are repaired, and sold.
CHARGE_LASTS_MS: Final = 30 * 24 * 3_600_000
KEPT_MS: Final = 90 * 24 * 3_600_000
LIST_MAX: Final = 1000
# Old ones that go with each new one.
_FORGOTTEN_AT_ONCE: Final = 20

# Made before there are threads, see `tasks`.
_read_seen = msgspec.json.Decoder(Comparison).decode
_read_suspicion = msgspec.json.Decoder(Suspicion).decode
_read_others = msgspec.json.Decoder(tuple[str, ...]).decode


@dataclass(frozen=True, slots=True)
class CheckRow:
    """One check.

    Attributes:
        id: of the request that was asked again.
        node_id, wallet: who delivered the answer, and its owner.
        account_id: whose request it was.
        task_id: of the replica.
        request_digest: SHA-256 of what its server was asked.
        others: the nodes that were asked again.
        cost_micro_usdc: of asking them.
        evidence_json: the request and all answers; None where none differed.
    """

    id: str
    at_ms: int
    model: str
    node_id: str
    wallet: str
    account_id: str
    task_id: str
    request_digest: str
    judged: Judged
    others: tuple[str, ...]
    seen: Comparison
    cost_micro_usdc: int
    evidence_json: str | None = None


@dataclass(frozen=True, slots=True)
class SuspicionRow:
    """What a node's checks by one model come to.

    Attributes:
        charge: what it was found to do; None: nothing.
        charged_at_ms: when.
    """

    node_id: str
    model: str
    wallet: str
    suspicion: Suspicion
    charge: Charge | None = None
    charged_at_ms: int | None = None

    def is_charged(self, now_ms: int) -> bool:
        """Whether it is still not to serve that model."""
        return self.charged_at_ms is not None and now_ms - self.charged_at_ms < CHARGE_LASTS_MS


def add(conn: Connection, row: CheckRow) -> bool:
    """Store a check; False where it is stored already."""
    values = {
        "id": row.id,
        "at_ms": row.at_ms,
        "model": row.model,
        "node_id": row.node_id,
        "wallet": row.wallet,
        "account_id": row.account_id,
        "task_id": row.task_id,
        "request_digest": row.request_digest,
        "judged": row.judged.value,
        "others_json": msgspec.json.encode(row.others).decode(),
        "seen_json": msgspec.json.encode(row.seen).decode(),
        "cost_micro_usdc": row.cost_micro_usdc,
        "evidence_json": row.evidence_json,
    }
    if conn.execute(select(model_checks.c.id).where(model_checks.c.id == row.id)).first():
        return False
    conn.execute(insert(model_checks).values(**values))
    old = (
        select(model_checks.c.id)
        .where(model_checks.c.at_ms < row.at_ms - KEPT_MS)
        .order_by(model_checks.c.at_ms)
        .limit(_FORGOTTEN_AT_ONCE)
    )
    conn.execute(delete(model_checks).where(model_checks.c.id.in_(old.scalar_subquery())))
    return True


def was_counted(conn: Connection, node_id: str, model: str, request_digest: str) -> bool:
    """Whether the same request has decided about this node before: asked again, it says nothing new."""
    query = select(model_checks.c.id).where(
        model_checks.c.node_id == node_id,
        model_checks.c.model == model,
        model_checks.c.request_digest == request_digest,
        model_checks.c.judged != Judged.UNDECIDED.value,
    )
    return conn.execute(query.limit(1)).first() is not None


def spent_since(conn: Connection, since_ms: int) -> int:
    """What checks have cost from a moment on, micro-USDC."""
    query = select(func.sum(model_checks.c.cost_micro_usdc))
    return conn.scalar(query.where(model_checks.c.at_ms >= since_ms)) or 0


def newest(conn: Connection, limit: int, node_id: str = "") -> list[CheckRow]:
    """Checks, newest first; of all nodes where none is named."""
    query = select(model_checks)
    if node_id:
        query = query.where(model_checks.c.node_id == node_id)
    order = (model_checks.c.at_ms.desc(), model_checks.c.id.desc())
    return [_check(row) for row in conn.execute(query.order_by(*order).limit(min(limit, LIST_MAX)))]


def suspicion(conn: Connection, node_id: str, model: str) -> SuspicionRow | None:
    """What its checks come to; None before the first."""
    query = select(model_suspicions).where(
        model_suspicions.c.node_id == node_id, model_suspicions.c.model == model
    )
    row = conn.execute(query).one_or_none()
    return None if row is None else _suspicion(row)


def suspicions(conn: Connection) -> list[SuspicionRow]:
    """Of all nodes and models, by model."""
    query = select(model_suspicions).order_by(model_suspicions.c.model, model_suspicions.c.node_id)
    return [_suspicion(row) for row in conn.execute(query.limit(LIST_MAX))]


def charged(conn: Connection, now_ms: int) -> Sequence[SuspicionRow]:
    """Who is not to serve which model now, the last one first."""
    query = (
        select(model_suspicions)
        .where(model_suspicions.c.charged_at_ms > now_ms - CHARGE_LASTS_MS)
        .order_by(model_suspicions.c.charged_at_ms.desc())
        .limit(LIST_MAX)
    )
    return [_suspicion(row) for row in conn.execute(query)]


def save(conn: Connection, row: SuspicionRow) -> None:
    """Store what they come to now."""
    values = {
        "wallet": row.wallet,
        "suspicion_json": msgspec.json.encode(row.suspicion).decode(),
        "charge": None if row.charge is None else row.charge.value,
        "charged_at_ms": row.charged_at_ms,
    }
    conn.execute(
        insert_or(conn, model_suspicions)
        .values(node_id=row.node_id, model=row.model, **values)
        .on_conflict_do_update(
            index_elements=[model_suspicions.c.node_id, model_suspicions.c.model], set_=values
        )
    )


def forgive(conn: Connection, node_id: str, model: str) -> bool:
    """Let a node serve a model again, with nothing that speaks against it; whether it was charged."""
    changed = conn.execute(
        update(model_suspicions)
        .where(
            model_suspicions.c.node_id == node_id,
            model_suspicions.c.model == model,
            model_suspicions.c.charge.is_not(None),
        )
        .values(
            charge=None,
            charged_at_ms=None,
            suspicion_json=msgspec.json.encode(Suspicion()).decode(),
        )
    )
    return changed.rowcount > 0


def _check(row: Row[tuple[object, ...]]) -> CheckRow:
    return CheckRow(
        id=row.id,
        at_ms=row.at_ms,
        model=row.model,
        node_id=row.node_id,
        wallet=row.wallet,
        account_id=row.account_id,
        task_id=row.task_id,
        request_digest=row.request_digest,
        judged=Judged(row.judged),
        others=_read_others(row.others_json),
        seen=_read_seen(row.seen_json),
        cost_micro_usdc=row.cost_micro_usdc,
        evidence_json=row.evidence_json,
    )


def _suspicion(row: Row[tuple[object, ...]]) -> SuspicionRow:
    return SuspicionRow(
        row.node_id,
        row.model,
        row.wallet,
        _read_suspicion(row.suspicion_json),
        None if row.charge is None else Charge(row.charge),
        row.charged_at_ms,
    )
