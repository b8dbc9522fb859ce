"""What all tables belong to."""

from typing import Any

from sqlalchemy import ColumnElement, MetaData

metadata = MetaData()


def where(condition: ColumnElement[bool]) -> dict[str, Any]:
    """Arguments of an `Index` over the rows that fit."""
    return {"sqlite_where": condition, "postgresql_where": condition}
