"""What the coordinator remembers: rows, transactions, group commit.

Each module owns some tables (`tables`) and offers plain functions over a SQLAlchemy `Connection`,
which callers run with ``await db.read(fn)`` or ``await db.write(fn)`` (`database`). A function that
must be one transaction with another is simply called by the same ``fn``.
"""
