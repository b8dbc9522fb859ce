"""Findings: what the coordinator has seen of nodes, from which their reputation follows."""

from collections.abc import Mapping
from dataclasses import dataclass

import msgspec
from sqlalchemy import Connection, func, select

from neurogrid_marketplace.canonical import Json
from neurogrid_marketplace.reputation import Finding, FindingKind

from .tables import findings
from .upserts import insert_or

# So many of a node's findings count, the newest: more would say nothing new, and cost time.
FINDINGS_MAX = 1000

# Made before there are threads, see `tasks`.
_read_finding = msgspec.json.Decoder(Finding).decode


@dataclass(frozen=True, slots=True)
class StoredFinding:
    """A finding, with what a challenge answered (``details``)."""

    id: int
    node_id: str
    finding: Finding
    details: Mapping[str, Json]


def add(
    conn: Connection,
    node_id: str,
    finding: Finding,
    *,
    lease_id: str | None = None,
    details: Mapping[str, Json] | None = None,
) -> bool:
    """Remember a finding, once for each lease and kind; whether it is new."""
    stored = conn.execute(
        insert_or(conn, findings)
        .values(
            node_id=node_id,
            kind=finding.kind.value,
            at_ms=finding.at_ms,
            lease_id=lease_id,
            finding_json=msgspec.json.encode(finding).decode(),
            details_json=msgspec.json.encode(details or {}).decode(),
        )
        .on_conflict_do_nothing()
        .returning(findings.c.id)
    ).first()
    return stored is not None


def of_node(
    conn: Connection,
    node_id: str,
    *,
    kinds: frozenset[FindingKind] | None = None,
    limit: int = FINDINGS_MAX,
    offset: int = 0,
) -> list[StoredFinding]:
    """A node's findings (of these kinds), newest first."""
    query = select(findings).where(findings.c.node_id == node_id)
    if kinds is not None:
        query = query.where(findings.c.kind.in_(sorted(kind.value for kind in kinds)))
    rows = conn.execute(
        query.order_by(findings.c.id.desc()).limit(min(limit, FINDINGS_MAX)).offset(offset)
    )
    return [
        StoredFinding(
            row.id,
            row.node_id,
            _read_finding(row.finding_json),
            msgspec.json.decode(row.details_json),
        )
        for row in rows
    ]


def count_by_kind(conn: Connection, node_id: str) -> dict[FindingKind, int]:
    """How many findings of each kind there ever were."""
    rows = conn.execute(
        select(findings.c.kind, func.count())
        .where(findings.c.node_id == node_id)
        .group_by(findings.c.kind)
    )
    found = {FindingKind(kind): number for kind, number in rows}
    return {kind: found.get(kind, 0) for kind in FindingKind}
