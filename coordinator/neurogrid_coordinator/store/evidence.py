"""Evidence: signed envelopes, exactly as they travelled, kept for receipts."""

import msgspec
from sqlalchemy import Connection, insert, select

from neurogrid_marketplace.envelope import Envelope, parse_envelope

from .tables import evidence


def append(conn: Connection, subject_id: str, envelope: Envelope) -> None:
    """Keep an envelope under a lease, or under the demand of an auction."""
    conn.execute(
        insert(evidence)
        .inline()
        .values(
            subject_id=subject_id,
            kind=envelope.type,
            envelope_json=msgspec.json.encode(envelope.to_dict()).decode(),
        )
    )


def of(conn: Connection, subject_id: str, kind: str | None = None) -> list[Envelope]:
    """What is kept under this id, oldest first."""
    query = select(evidence.c.envelope_json).where(evidence.c.subject_id == subject_id)
    if kind is not None:
        query = query.where(evidence.c.kind == kind)
    rows = conn.execute(query.order_by(evidence.c.seq))
    return [parse_envelope(msgspec.json.decode(row.envelope_json)) for row in rows]
