"""Who changed what, what failed, and what was answered."""

from sqlalchemy import BigInteger, Column, ForeignKey, Index, Table, Text

from .base import metadata

# What requests with an idempotency key were answered (`services.repeats`); old ones are deleted.
idempotent_answers = Table(
    "idempotent_answers",
    metadata,
    Column("account_id", Text, ForeignKey("accounts.id"), primary_key=True),
    Column("idempotency_key", Text, primary_key=True),
    Column("request_sha256", Text, nullable=False),
    Column("answer_json", Text, nullable=False),
    Column("created_at_ms", BigInteger, nullable=False),
)
Index("idempotent_answers_by_age", idempotent_answers.c.created_at_ms)

# What replicas answered to requests with an idempotency key. `bill_json`: `store.kept_answers.KeptBill`. `sha256`: of the file with
# what the model's server said.
kept_answers = Table(
    "kept_answers",
    metadata,
    Column("account_id", Text, ForeignKey("accounts.id"), primary_key=True),
    Column("idempotency_key", Text, primary_key=True),
    Column("request_sha256", Text, nullable=False),
    Column("bill_json", Text, nullable=False),
    Column("sha256", Text, nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    Column("created_at_ms", BigInteger, nullable=False),
)
Index("kept_answers_by_age", kept_answers.c.created_at_ms)
Index("kept_answers_of_file", kept_answers.c.sha256)

# Who changed what (`audit`); rows are only ever added. `hash` is of all other columns, `previous` that of the row before.
audit_rows = Table(
    "audit_rows",
    metadata,
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("at_ms", BigInteger, nullable=False),
    Column("account_id", Text, ForeignKey("accounts.id")),
    Column("type", Text, nullable=False),
    Column("level", Text, nullable=False),
    Column("message", Text, nullable=False),
    Column("details_json", Text, nullable=False),
    Column("previous", Text, nullable=False),
    Column("hash", Text, nullable=False),
)
Index("audit_rows_of_account", audit_rows.c.account_id, audit_rows.c.seq)
Index("audit_rows_by_age", audit_rows.c.at_ms)

# What failed (`failures`); the newest of each account are kept. `account_id` is null for what belongs to nobody.
failures = Table(
    "failures",
    metadata,
    Column("id", Text, primary_key=True),
    Column("at_ms", BigInteger, nullable=False),
    Column("account_id", Text, ForeignKey("accounts.id")),
    Column("task_id", Text),
    Column("severity", Text, nullable=False),
    Column("code", Text, nullable=False),
    Column("message", Text, nullable=False),
    Column("context_json", Text, nullable=False),
    Column("stack", Text, nullable=False),
    Column("resolution", Text),
    Column("resolved_at_ms", BigInteger),
)
Index("failures_of_account", failures.c.account_id, failures.c.id)
Index("failures_of_task", failures.c.task_id)
