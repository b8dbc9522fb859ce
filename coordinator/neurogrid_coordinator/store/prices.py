"""What awards cleared at, by the hour; hours that are too old, or too many, are deleted."""

import msgspec
from sqlalchemy import Connection, delete, func, select

from neurogrid_marketplace.price_history import HOUR_MS, PriceClass, PriceHour, first_award

from .tables import price_hours
from .upserts import insert_or

# A month: prices before say little of prices now.
KEPT_MS = 30 * 24 * HOUR_MS
# Nodes name their GPUs, so anybody may bring new classes: so many rows are kept in all, the newest. A
# month of one class is 720.
ROWS_MAX = 20_000

# Made before there are threads, see `tasks`.
_read_hour = msgspec.json.Decoder(PriceHour).decode


def add(
    conn: Connection, bought: PriceClass, price_micro_usdc_per_hour: int, start_ms: int, now_ms: int
) -> None:
    """Note an award: what it cleared at, and when its node expected to start."""
    per_unit = bought.per_unit(price_micro_usdc_per_hour)
    at_ms = now_ms // HOUR_MS * HOUR_MS
    known = conn.execute(
        select(price_hours.c.hour_json).where(
            price_hours.c.name == bought.name, price_hours.c.at_ms == at_ms
        )
    ).scalar_one_or_none()
    if known is None:
        _make_room(conn, now_ms)
        hour = first_award(bought.name, now_ms, per_unit, start_ms)
    else:
        hour = _read_hour(known).with_award(per_unit, start_ms)
    hour_json = msgspec.json.encode(hour).decode()
    conn.execute(
        insert_or(conn, price_hours)
        .values(name=hour.name, at_ms=at_ms, hour_json=hour_json)
        .on_conflict_do_update(index_elements=["name", "at_ms"], set_={"hour_json": hour_json})
    )


def since(conn: Connection, since_ms: int, name: str | None = None) -> list[PriceHour]:
    """The hours from a moment on (of one class), oldest first."""
    query = select(price_hours.c.hour_json).where(
        price_hours.c.at_ms >= since_ms // HOUR_MS * HOUR_MS
    )
    if name is not None:
        query = query.where(price_hours.c.name == name)
    rows = conn.execute(query.order_by(price_hours.c.at_ms, price_hours.c.name))
    return [_read_hour(row.hour_json) for row in rows]


def _make_room(conn: Connection, now_ms: int) -> None:
    """Delete what is too old, and the oldest of what is too much; at most once in an hour and class."""
    conn.execute(delete(price_hours).where(price_hours.c.at_ms < now_ms - KEPT_MS))
    count = conn.execute(select(func.count()).select_from(price_hours)).scalar_one()
    if count >= ROWS_MAX:
        oldest = (
            select(price_hours.c.name, price_hours.c.at_ms)
            .order_by(price_hours.c.at_ms, price_hours.c.name)
            .limit(count - ROWS_MAX + 1)
        )
        for row in conn.execute(oldest).all():
            conn.execute(
                delete(price_hours).where(
                    price_hours.c.name == row.name, price_hours.c.at_ms == row.at_ms
                )
            )
