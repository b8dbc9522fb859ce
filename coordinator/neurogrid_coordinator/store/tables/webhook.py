"""Webhooks, and what they were told."""

from sqlalchemy import BigInteger, Column, ForeignKey, Index, Integer, Table, Text, UniqueConstraint

from .base import metadata

# Where an account wants to be told of events. `host`: of its URL, as `InputUrl.authority` has it. `secret`: as it is,
# because what is sent is signed with it. `failures`: deliveries in a row that failed for good. `request_sha256`:
# of the request that made it, to tell a repeated one from another.
webhooks = Table(
    "webhooks",
    metadata,
    Column("id", Text, primary_key=True, nullable=False),
    Column("account_id", Text, ForeignKey("accounts.id"), nullable=False),
    Column("url", Text, nullable=False),
    Column("host", Text, nullable=False),
    Column("description", Text, nullable=False),
    Column("events_json", Text, nullable=False),
    Column("filter_json", Text, nullable=False),
    Column("secret", Text, nullable=False),
    Column("signature", Text, nullable=False),
    Column("max_attempts", Integer, nullable=False),
    Column("backoff_s", Integer, nullable=False),
    Column("state", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("failures", Integer, nullable=False),
    Column("failing_since_ms", BigInteger),
    Column("delivered_at_ms", BigInteger),
    Column("created_at_ms", BigInteger, nullable=False),
    Column("updated_at_ms", BigInteger, nullable=False),
    Column("idempotency_key", Text),
    Column("request_sha256", Text),
    UniqueConstraint("account_id", "idempotency_key", name="webhooks_idempotency"),
)
Index("webhooks_of_account", webhooks.c.account_id, webhooks.c.id)

# An event that is to be told, or was. `event_seq`: of `task_events`, where it is one. `body`: what is sent, once
# it is fixed. `by_hand`: a test or a redelivery, which goes out also where the webhook is paused or disabled.
# `next_at_ms`: nobody sends it before; who begins to, moves it on first.
webhook_deliveries = Table(
    "webhook_deliveries",
    metadata,
    Column("id", Text, primary_key=True, nullable=False),
    Column("webhook_id", Text, ForeignKey("webhooks.id"), nullable=False),
    Column("kind", Text, nullable=False),
    Column("subject_id", Text, nullable=False),
    Column("event_seq", BigInteger),
    Column("at_ms", BigInteger, nullable=False),
    Column("body", Text),
    Column("state", Text, nullable=False),
    Column("by_hand", Integer, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("attempts_max", Integer, nullable=False),
    Column("next_at_ms", BigInteger, nullable=False),
    Column("ended_at_ms", BigInteger),
)
Index("webhook_deliveries_of_webhook", webhook_deliveries.c.webhook_id, webhook_deliveries.c.id)
Index(
    "webhook_deliveries_due",
    webhook_deliveries.c.webhook_id,
    webhook_deliveries.c.next_at_ms,
    sqlite_where=webhook_deliveries.c.state == "pending",
    postgresql_where=webhook_deliveries.c.state == "pending",
)
Index(
    "webhook_deliveries_ended",
    webhook_deliveries.c.ended_at_ms,
    sqlite_where=webhook_deliveries.c.ended_at_ms.is_not(None),
    postgresql_where=webhook_deliveries.c.ended_at_ms.is_not(None),
)

# Each try to deliver. `status` and `error` are null and "" while it lasts, and where the coordinator died in it.
webhook_attempts = Table(
    "webhook_attempts",
    metadata,
    Column("delivery_id", Text, ForeignKey("webhook_deliveries.id"), primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("at_ms", BigInteger, nullable=False),
    Column("took_ms", BigInteger),
    Column("status", Integer),
    Column("error", Text, nullable=False),
    Column("answer", Text, nullable=False),
)
