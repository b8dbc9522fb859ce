"""Batches and schedules: tasks by the list, and by the clock."""

from sqlalchemy import BigInteger, Column, ForeignKey, Index, Integer, Table, Text, UniqueConstraint

from .base import metadata, where

# Lists of requests (`batch_rules`). `request_sha256`: of the request, to tell a repeated one from another.
# The five counters say how many of its items are in each state; `most_micro_usdc`: what all could cost.
# `cleared_at_ms`: of a deleted one, when its items and tasks were gone.
batches = Table(
    "batches",
    metadata,
    Column("id", Text, primary_key=True, nullable=False),
    Column("account_id", Text, ForeignKey("accounts.id"), nullable=False),
    Column("client_id", Text),
    Column("name", Text, nullable=False),
    Column("description", Text, nullable=False),
    Column("idempotency_key", Text),
    Column("request_sha256", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("defaults_json", Text, nullable=False),
    Column("max_concurrency", Integer, nullable=False),
    Column("retries", Integer, nullable=False),
    Column("max_cost_micro_usdc", BigInteger),
    Column("most_micro_usdc", BigInteger, nullable=False),
    Column("spent_micro_usdc", BigInteger, nullable=False),
    Column("note", Text, nullable=False),
    Column("pending", Integer, nullable=False),
    Column("released", Integer, nullable=False),
    Column("completed", Integer, nullable=False),
    Column("failed", Integer, nullable=False),
    Column("cancelled", Integer, nullable=False),
    Column("created_at_ms", BigInteger, nullable=False),
    Column("updated_at_ms", BigInteger, nullable=False),
    Column("started_at_ms", BigInteger),
    Column("ended_at_ms", BigInteger),
    Column("deleted_at_ms", BigInteger),
    Column("cleared_at_ms", BigInteger),
    UniqueConstraint("account_id", "idempotency_key", name="batches_idempotency"),
    UniqueConstraint("account_id", "client_id", name="batches_client_id"),
)
Index("batches_of_account", batches.c.account_id, batches.c.id)
Index("batches_by_state", batches.c.state)
Index(
    "batches_to_clear",
    batches.c.deleted_at_ms,
    **where(batches.c.deleted_at_ms.is_not(None) & batches.c.cleared_at_ms.is_(None)),
)

# What a batch consists of, in its order. `request_json`: its own fields, beside the batch's defaults.
# `attempts`: tasks it has had; `tries`: those since somebody started it. `cost_micro_usdc`: of all that have ended.
batch_items = Table(
    "batch_items",
    metadata,
    Column("batch_id", Text, ForeignKey("batches.id"), primary_key=True, nullable=False),
    Column("position", Integer, primary_key=True, nullable=False),
    Column("client_id", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("request_json", Text, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("tries", Integer, nullable=False),
    Column("task_id", Text, ForeignKey("tasks.id")),
    Column("held_micro_usdc", BigInteger, nullable=False),
    Column("cost_micro_usdc", BigInteger, nullable=False),
    Column("code", Text, nullable=False),
    Column("message", Text, nullable=False),
    Column("ended_at_ms", BigInteger),
    Column("first_task_id", Text),
    UniqueConstraint("batch_id", "client_id", name="batch_items_client_id"),
)
Index(
    "batch_items_first_task",
    batch_items.c.first_task_id,
    **where(batch_items.c.first_task_id.is_not(None)),
)
Index(
    "batch_items_by_state",
    batch_items.c.batch_id,
    batch_items.c.state,
    batch_items.c.position,
)

# What runs at times (`schedule_rules`). `template_json`: the batch that each run is. `next_run_at_ms`: the first
# due time that nobody has looked at; null where none comes.
schedules = Table(
    "schedules",
    metadata,
    Column("id", Text, primary_key=True, nullable=False),
    Column("account_id", Text, ForeignKey("accounts.id"), nullable=False),
    Column("name", Text, nullable=False),
    Column("cron", Text, nullable=False),
    Column("time_zone", Text, nullable=False),
    Column("template_json", Text, nullable=False),
    Column("output_file", Text, nullable=False),
    Column("output_artifact", Integer, nullable=False),
    Column("dry_run", Integer, nullable=False),
    Column("missed", Text, nullable=False),
    Column("overlap", Text, nullable=False),
    Column("is_active", Integer, nullable=False),
    Column("ends_at_ms", BigInteger),
    Column("next_run_at_ms", BigInteger),
    Column("last_run_at_ms", BigInteger),
    Column("idempotency_key", Text),
    Column("request_sha256", Text, nullable=False),
    Column("created_at_ms", BigInteger, nullable=False),
    Column("updated_at_ms", BigInteger, nullable=False),
    Column("deleted_at_ms", BigInteger),
    UniqueConstraint("account_id", "idempotency_key", name="schedules_idempotency"),
)
Index("schedules_of_account", schedules.c.account_id, schedules.c.id)
Index(
    "schedules_due",
    schedules.c.next_run_at_ms,
    **where(schedules.c.next_run_at_ms.is_not(None)),
)

# Runs of schedules: one for a due time, whoever finds it due. `by_hand`: due when its owner said so.
schedule_runs = Table(
    "schedule_runs",
    metadata,
    Column("id", Text, primary_key=True, nullable=False),
    Column("schedule_id", Text, ForeignKey("schedules.id"), nullable=False),
    Column("account_id", Text, ForeignKey("accounts.id"), nullable=False),
    Column("due_at_ms", BigInteger, nullable=False),
    Column("by_hand", Integer, nullable=False),
    Column("state", Text, nullable=False),
    Column("batch_id", Text, ForeignKey("batches.id")),
    Column("note", Text, nullable=False),
    Column("output_sha256", Text),
    Column("started_at_ms", BigInteger),
    Column("ended_at_ms", BigInteger),
    UniqueConstraint("schedule_id", "due_at_ms", name="schedule_runs_once"),
)
Index(
    "schedule_runs_open",
    schedule_runs.c.state,
    **where(schedule_runs.c.state.in_(["due", "started"])),
)
