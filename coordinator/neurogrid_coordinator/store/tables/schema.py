"""Which steps of the schema were taken, which coordinator leads, and what each wrote last."""

from sqlalchemy import BigInteger, Column, Integer, Table, Text

from .base import metadata

schema_version = Table(
    "schema_version",
    metadata,
    Column("version", Integer, primary_key=True),
    Column("applied_at_ms", BigInteger, nullable=False),
)

# One row: how often a coordinator began to lead (`lead`), and where it answers those that follow.
lead = Table(
    "lead",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("term", BigInteger, nullable=False),
    Column("url", Text, nullable=False, server_default=""),
)

# On PostgreSQL: the number of each writer's last transaction, written in it.
write_marks = Table(
    "write_marks",
    metadata,
    Column("writer", Text, primary_key=True),
    Column("mark", BigInteger, nullable=False),
    Column("at_ms", BigInteger, nullable=False),
)
