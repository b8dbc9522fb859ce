"""Challenges: asked, planned, running, and what came of them, with their evidence."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import msgspec
from sqlalchemy import Connection, Row, delete, func, insert, select, update

from neurogrid_marketplace.challenge import Challenge
from neurogrid_marketplace.challenge_answer import Mark

from .ids import new_id
from .tables import challenge_evidence, challenges

# Files of evidence that are kept of a node, the newest: each may have megabytes.
EVIDENCE_KEPT = 16

# Made before there are threads, see `tasks`.
_read_challenge = msgspec.json.Decoder(Challenge).decode


class Reason(StrEnum):
    """Why a node is asked."""

    BY_HAND = "by_hand"
    # It was never asked before.
    NEW = "new"
    # By lot.
    DRAWN = "drawn"


class Stage(StrEnum):
    """Where a challenge is that has not ended; ended ones have a `Mark` instead."""

    ASKED = "asked"
    # What is asked is fixed; its task is about to be submitted, or is.
    PLANNED = "planned"
    RUNNING = "running"


@dataclass(frozen=True, slots=True)
class ChallengeRow:
    """One challenge.

    Attributes:
        state: a `Stage`, or a `Mark`.
        note: what came of it, in words.
        challenge: None before it is planned.
        digest: SHA-256 of its evidence; None where there is none, or none any more.
    """

    id: str
    node_id: str
    reason: Reason
    state: Stage | Mark
    note: str
    max_cost_micro_usdc: int
    asked_at_ms: int
    ended_at_ms: int | None
    challenge: Challenge | None
    task_id: str | None
    digest: str | None


_ROWS = select(challenges, challenge_evidence.c.digest).outerjoin(
    challenge_evidence, challenge_evidence.c.challenge_id == challenges.c.id
)
_OPEN = [stage.value for stage in Stage]


def ask(
    conn: Connection, node_id: str, reason: Reason, max_cost_micro_usdc: int, now_ms: int
) -> str:
    """Note that a node is to be challenged; the challenge's id."""
    challenge_id = new_id("challenge")
    conn.execute(
        insert(challenges).values(
            id=challenge_id,
            node_id=node_id,
            reason=reason.value,
            state=Stage.ASKED.value,
            note="",
            max_cost_micro_usdc=max_cost_micro_usdc,
            asked_at_ms=now_ms,
        )
    )
    return challenge_id


def plan(conn: Connection, challenge: Challenge, max_cost_micro_usdc: int) -> None:
    """Fix what is asked, before anybody is asked."""
    _change(
        conn,
        challenge.challenge_id,
        state=Stage.PLANNED.value,
        challenge_json=msgspec.json.encode(challenge).decode(),
        max_cost_micro_usdc=max_cost_micro_usdc,
    )


def run(conn: Connection, challenge_id: str, task_id: str) -> None:
    """Its task is submitted."""
    _change(conn, challenge_id, state=Stage.RUNNING.value, task_id=task_id)


def end(conn: Connection, challenge_id: str, mark: Mark, note: str, now_ms: int) -> bool:
    """Note what came of it; False if that is known already."""
    changed = conn.execute(
        update(challenges)
        .where(challenges.c.id == challenge_id, challenges.c.state.in_(_OPEN))
        .values(state=mark.value, note=note, ended_at_ms=now_ms)
    )
    return changed.rowcount == 1


def keep_evidence(
    conn: Connection, challenge_id: str, node_id: str, digest: str, data: bytes
) -> None:
    """Keep a file of evidence, and the node's newest `EVIDENCE_KEPT` in all."""
    conn.execute(
        insert(challenge_evidence).values(
            challenge_id=challenge_id, node_id=node_id, digest=digest, data=data
        )
    )
    newest = (
        select(challenge_evidence.c.challenge_id)
        .where(challenge_evidence.c.node_id == node_id)
        .order_by(challenge_evidence.c.challenge_id.desc())
        .limit(EVIDENCE_KEPT)
    )
    conn.execute(
        delete(challenge_evidence).where(
            challenge_evidence.c.node_id == node_id,
            challenge_evidence.c.challenge_id.not_in(newest.scalar_subquery()),
        )
    )


def evidence(conn: Connection, challenge_id: str) -> bytes | None:
    """The file of evidence, byte for byte; None where there is none."""
    query = select(challenge_evidence.c.data).where(
        challenge_evidence.c.challenge_id == challenge_id
    )
    return conn.scalar(query)


def get(conn: Connection, challenge_id: str) -> ChallengeRow | None:
    """One challenge."""
    row = conn.execute(_ROWS.where(challenges.c.id == challenge_id)).one_or_none()
    return None if row is None else _row(row)


def open_ones(conn: Connection, limit: int) -> Sequence[ChallengeRow]:
    """Those that have not ended, oldest first."""
    query = _ROWS.where(challenges.c.state.in_(_OPEN)).order_by(challenges.c.id).limit(limit)
    return [_row(row) for row in conn.execute(query)]


def of_node(conn: Connection, node_id: str, limit: int) -> Sequence[ChallengeRow]:
    """A node's, newest first."""
    query = _ROWS.where(challenges.c.node_id == node_id).order_by(challenges.c.id.desc())
    return [_row(row) for row in conn.execute(query.limit(limit))]


def newest_mark(conn: Connection, node_id: str) -> tuple[Mark, int] | None:
    """What came of a node's last challenge that says something, and when."""
    row = conn.execute(
        select(challenges.c.state, challenges.c.ended_at_ms)
        .where(
            challenges.c.node_id == node_id,
            challenges.c.state.not_in([*_OPEN, Mark.INCONCLUSIVE.value]),
        )
        .order_by(challenges.c.id.desc())
        .limit(1)
    ).one_or_none()
    return None if row is None else (Mark(row.state), row.ended_at_ms)


def newest_asked(conn: Connection) -> dict[str, int]:
    """When each node that ever was asked was asked last."""
    query = select(challenges.c.node_id, func.max(challenges.c.asked_at_ms))
    rows = conn.execute(query.group_by(challenges.c.node_id))
    return {row[0]: row[1] for row in rows}


def max_cost_since(conn: Connection, since_ms: int) -> int:
    """What all challenges asked from a moment on may cost at most, micro-USDC."""
    query = select(func.sum(challenges.c.max_cost_micro_usdc))
    return conn.scalar(query.where(challenges.c.asked_at_ms >= since_ms)) or 0


def _change(conn: Connection, challenge_id: str, **values: object) -> None:
    conn.execute(update(challenges).where(challenges.c.id == challenge_id).values(**values))


def _row(row: Row[tuple[object, ...]]) -> ChallengeRow:
    state = row.state
    return ChallengeRow(
        id=row.id,
        node_id=row.node_id,
        reason=Reason(row.reason),
        state=Stage(state) if state in _OPEN else Mark(state),
        note=row.note,
        max_cost_micro_usdc=row.max_cost_micro_usdc,
        asked_at_ms=row.asked_at_ms,
        ended_at_ms=row.ended_at_ms,
        challenge=None if row.challenge_json is None else _read_challenge(row.challenge_json),
        task_id=row.task_id,
        digest=row.digest,
    )
