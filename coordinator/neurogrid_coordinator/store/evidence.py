"""Evidence for receipts: signed envelopes exactly as they travelled, and the linked vouchers.

A lease has at most a few hundred rows, however long it runs (`payment_chain`).
"""

import msgspec
from sqlalchemy import Connection, delete, insert, select

from neurogrid_marketplace.envelope import Envelope, parse_envelope
from neurogrid_marketplace.fields import plain
from neurogrid_marketplace.messages import VoucherMessage

from .tables import evidence

# Vouchers are kept as messages: what makes them count is their own signature.
# Made before there are threads, see `tasks`.
_read_voucher = msgspec.json.Decoder(VoucherMessage).decode
_VOUCHER = "linked voucher"
# The meter that the highest amount was signed for, while its voucher is not a linked one.
_LAST_METER = "last meter"


def append(conn: Connection, subject_id: str, envelope: Envelope) -> None:
    """Keep an envelope under a lease, or under the demand of an auction."""
    _insert(conn, subject_id, envelope.type, envelope.to_dict())


def of(conn: Connection, subject_id: str, kind: str | None = None) -> list[Envelope]:
    """The envelopes kept under this id, oldest first."""
    query = select(evidence.c.envelope_json).where(evidence.c.subject_id == subject_id)
    if kind is not None:
        query = query.where(evidence.c.kind == kind)
    else:
        query = query.where(evidence.c.kind.not_in((_VOUCHER, _LAST_METER)))
    rows = conn.execute(query.order_by(evidence.c.seq))
    return [parse_envelope(msgspec.json.decode(row.envelope_json)) for row in rows]


def replace(conn: Connection, subject_id: str, envelope: Envelope) -> None:
    """Keep an envelope instead of those of its kind."""
    _remove(conn, subject_id, envelope.type)
    append(conn, subject_id, envelope)


def append_voucher(conn: Connection, meter: Envelope, voucher: VoucherMessage) -> None:
    """Keep a linked voucher and the meter that it answers."""
    _remove(conn, voucher.lease_id, _LAST_METER)
    append(conn, voucher.lease_id, meter)
    _insert(conn, voucher.lease_id, _VOUCHER, plain(voucher))


def vouchers_of(conn: Connection, lease_id: str) -> list[VoucherMessage]:
    """The linked vouchers of a lease, in order."""
    rows = conn.execute(
        select(evidence.c.envelope_json)
        .where(evidence.c.subject_id == lease_id, evidence.c.kind == _VOUCHER)
        .order_by(evidence.c.seq)
    )
    return [_read_voucher(row.envelope_json) for row in rows]


def last_voucher(conn: Connection, lease_id: str) -> VoucherMessage | None:
    """The last linked voucher of a lease."""
    text = conn.execute(
        select(evidence.c.envelope_json)
        .where(evidence.c.subject_id == lease_id, evidence.c.kind == _VOUCHER)
        .order_by(evidence.c.seq.desc())
        .limit(1)
    ).scalar()
    return _read_voucher(text) if text is not None else None


def keep_last_meter(conn: Connection, lease_id: str, meter: Envelope) -> None:
    """Keep the meter of a voucher that is not linked, instead of the last such one."""
    _remove(conn, lease_id, _LAST_METER)
    _insert(conn, lease_id, _LAST_METER, meter.to_dict())


def meters_of(conn: Connection, lease_id: str) -> list[Envelope]:
    """The meters that linked vouchers answer, and the last one if its voucher is not linked."""
    return of(conn, lease_id, "meter") + of(conn, lease_id, _LAST_METER)


def _insert(conn: Connection, subject_id: str, kind: str, content: object) -> None:
    conn.execute(
        insert(evidence)
        .inline()
        .values(
            subject_id=subject_id,
            kind=kind,
            envelope_json=msgspec.json.encode(content).decode(),
        )
    )


def _remove(conn: Connection, subject_id: str, kind: str) -> None:
    conn.execute(
        delete(evidence).where(evidence.c.subject_id == subject_id, evidence.c.kind == kind)
    )
