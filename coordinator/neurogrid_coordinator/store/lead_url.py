"""Where the coordinator that leads answers those that follow it."""

from sqlalchemy import Connection, select, update

from .tables import lead


def get(conn: Connection) -> str:
    """Its URL; "" while nobody leads, or who does is not ready."""
    return str(conn.scalar(select(lead.c.url)) or "")


def save(conn: Connection, url: str) -> None:
    """Who leads answers from now on, there."""
    conn.execute(update(lead).values(url=url))
