"""What a task says and leaves: events, logs, files, checkpoints and receipts."""

from sqlalchemy import BigInteger, Column, ForeignKey, Index, Integer, LargeBinary, Table, Text

from .base import metadata

# Append-only: what happened to a task, in order; feeds /ws and timelines.
task_events = Table(
    "task_events",
    metadata,
    Column("seq", Integer, primary_key=True, autoincrement=True),
    Column("task_id", Text, nullable=False),
    Column("account_id", Text, nullable=False),
    Column("at_ms", BigInteger, nullable=False),
    Column("kind", Text, nullable=False),
    Column("data_json", Text, nullable=False),
    sqlite_autoincrement=True,
)
Index("task_events_of_task", task_events.c.task_id, task_events.c.seq)
Index("task_events_of_account", task_events.c.account_id, task_events.c.seq)

# A lease's log: UTF-8 pieces by the number of bytes before them.
log_chunks = Table(
    "log_chunks",
    metadata,
    Column("lease_id", Text, ForeignKey("leases.id"), primary_key=True),
    Column("offset", BigInteger, primary_key=True),
    Column("size_bytes", Integer, nullable=False),
    Column("data", LargeBinary, nullable=False),
)

# What a lease's job has used, as its node said it at a moment (marketplace `LeaseUsage`): a bounded number of a lease.
usage_samples = Table(
    "usage_samples",
    metadata,
    Column("lease_id", Text, ForeignKey("leases.id"), primary_key=True, nullable=False),
    Column("at_ms", BigInteger, primary_key=True, nullable=False),
    Column("usage_json", Text, nullable=False),
    Column("memory_peak_bytes", BigInteger, nullable=False),
)

# What an account's models have read and made on a day (days since 1970, UTC), by unit (marketplace `ModelUnit`).
unit_counts = Table(
    "unit_counts",
    metadata,
    Column("account_id", Text, ForeignKey("accounts.id"), primary_key=True, nullable=False),
    Column("day", Integer, primary_key=True, nullable=False),
    Column("model", Text, primary_key=True, nullable=False),
    Column("unit", Text, primary_key=True, nullable=False),
    Column("amount", BigInteger, nullable=False),
)

# Tasks of models that have completed, and whose answers are not counted yet.
uncounted_tasks = Table(
    "uncounted_tasks",
    metadata,
    Column("task_id", Text, ForeignKey("tasks.id"), primary_key=True, nullable=False),
)

# Files by content; the blob lies once on disk, each account that uploaded it has a row.
artifacts = Table(
    "artifacts",
    metadata,
    Column("sha256", Text, primary_key=True),
    Column("account_id", Text, ForeignKey("accounts.id"), primary_key=True),
    Column("size_bytes", BigInteger, nullable=False),
    Column("lease_id", Text),
    Column("created_at_ms", BigInteger, nullable=False),
)
Index("artifacts_of_account", artifacts.c.account_id, artifacts.c.created_at_ms)

# Files of checkpoints, by task: what its runs have uploaded, and any part of it may become.
checkpoint_blobs = Table(
    "checkpoint_blobs",
    metadata,
    Column("task_id", Text, ForeignKey("tasks.id"), primary_key=True, nullable=False),
    Column("sha256", Text, primary_key=True, nullable=False),
    Column("account_id", Text, ForeignKey("accounts.id"), nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    Column("created_at_ms", BigInteger, nullable=False),
)
Index("checkpoint_blobs_by_hash", checkpoint_blobs.c.sha256)
Index("checkpoint_blobs_of_account", checkpoint_blobs.c.account_id)

# What each kept checkpoint consists of. `path` is "" for its manifest.
checkpoint_files = Table(
    "checkpoint_files",
    metadata,
    Column("task_id", Text, ForeignKey("tasks.id"), primary_key=True, nullable=False),
    Column("sequence", Integer, primary_key=True, nullable=False),
    Column("path", Text, primary_key=True, nullable=False),
    Column("sha256", Text, nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
)

# Blobs to be deleted from the disk, unless somebody has them.
unneeded_blobs = Table(
    "unneeded_blobs",
    metadata,
    Column("sha256", Text, primary_key=True, nullable=False),
)

# The finished, signed receipt of a closed lease.
receipts = Table(
    "receipts",
    metadata,
    Column("lease_id", Text, ForeignKey("leases.id"), primary_key=True),
    Column("task_id", Text, ForeignKey("tasks.id"), nullable=False),
    Column("account_id", Text, ForeignKey("accounts.id"), nullable=False),
    Column("created_at_ms", BigInteger, nullable=False),
    Column("receipt_json", Text, nullable=False),
)
Index("receipts_of_task", receipts.c.task_id)
