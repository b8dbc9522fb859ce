"""What jobs have used: samples of leases, a bounded number of each (`usage_series`)."""

from dataclasses import dataclass

import msgspec
from sqlalchemy import Connection, bindparam, delete, select

from neurogrid_marketplace.usage import LeaseUsage

from ..tasks.usage_series import Sample, spacing_ms, superfluous
from .prepared import Prepared
from .tables import leases, usage_samples
from .upserts import insert_or

_read_usage = msgspec.json.Decoder(LeaseUsage).decode
_NODE_OF = Prepared(select(leases.c.node_id).where(leases.c.id == bindparam("the_lease")))
_TIMES = Prepared(
    select(usage_samples.c.at_ms)
    .where(usage_samples.c.lease_id == bindparam("the_lease"))
    .order_by(usage_samples.c.at_ms)
)


@dataclass(frozen=True, slots=True)
class Said:
    """What a node said of a lease's job."""

    lease_id: str
    usage: LeaseUsage
    memory_peak_bytes: int


def add(conn: Connection, node_id: str, said: Said, at_ms: int, *, is_last: bool) -> bool:
    """Keep a sample, unless one has been kept a moment ago; whether it was. Of another node's leases nothing is kept.

    Args:
        is_last: the job has ended, so this is what it came to.
    """
    lease = _NODE_OF.first(conn, {"the_lease": said.lease_id})
    if lease is None or lease.node_id != node_id:
        return False
    kept = [row.at_ms for row in _TIMES.all(conn, {"the_lease": said.lease_id})]
    if kept and not is_last and at_ms - kept[-1] < spacing_ms(kept[0], at_ms):
        return False
    if gone := superfluous(kept):
        conn.execute(
            delete(usage_samples).where(
                usage_samples.c.lease_id == said.lease_id, usage_samples.c.at_ms.in_(gone)
            )
        )
    conn.execute(
        insert_or(conn, usage_samples)
        .values(
            lease_id=said.lease_id,
            at_ms=at_ms,
            usage_json=msgspec.json.encode(said.usage).decode(),
            memory_peak_bytes=said.memory_peak_bytes,
        )
        .on_conflict_do_nothing()
    )
    return True


def of_task(conn: Connection, task_id: str) -> list[Sample]:
    """The samples of all runs of a task, by time."""
    rows = conn.execute(
        select(usage_samples)
        .join(leases, leases.c.id == usage_samples.c.lease_id)
        .where(leases.c.task_id == task_id)
        .order_by(leases.c.created_at_ms, leases.c.id, usage_samples.c.at_ms)
    )
    return [
        Sample(row.lease_id, row.at_ms, _read_usage(row.usage_json), row.memory_peak_bytes)
        for row in rows
    ]
