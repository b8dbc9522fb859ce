"""Every table, as SQLAlchemy sees it. `migrations` creates them; a test compares the two.

Times are Unix milliseconds (``*_at_ms``), money is micro-USDC, JSON is text written by msgspec. A table of another
subject is named by its columns' text (``"tasks.id"``), so no module here imports another but `base`; all
are imported here, which makes its `metadata` complete.
"""

from .access import account_limits, accounts, api_keys, oauth_clients, oauth_grants, used_signatures
from .base import metadata, where
from .bulk import batch_items, batches, schedule_runs, schedules
from .money import invoices, payment, price_hours, transfers
from .openai import openai_batches, openai_files
from .records import audit_rows, failures, idempotent_answers, kept_answers
from .results import (
    artifacts,
    checkpoint_blobs,
    checkpoint_files,
    log_chunks,
    receipts,
    task_events,
    uncounted_tasks,
    unit_counts,
    unneeded_blobs,
    usage_samples,
)
from .schema import lead, schema_version, write_marks
from .verification import (
    audited_leases,
    challenge_evidence,
    challenges,
    check_counts,
    check_streaks,
    differences,
    evidence,
    findings,
    model_checks,
    model_suspicions,
)
from .webhook import webhook_attempts, webhook_deliveries, webhooks
from .work import (
    account_holds,
    leases,
    named_tasks,
    task_needs,
    tasks,
    unwritten_requests,
    use_of_leases,
    use_of_requests,
    workflows,
)

__all__ = [
    "account_holds",
    "account_limits",
    "accounts",
    "api_keys",
    "artifacts",
    "audit_rows",
    "audited_leases",
    "batch_items",
    "batches",
    "challenge_evidence",
    "challenges",
    "check_counts",
    "check_streaks",
    "checkpoint_blobs",
    "checkpoint_files",
    "differences",
    "evidence",
    "failures",
    "findings",
    "idempotent_answers",
    "invoices",
    "kept_answers",
    "lead",
    "leases",
    "log_chunks",
    "metadata",
    "model_checks",
    "model_suspicions",
    "named_tasks",
    "oauth_clients",
    "oauth_grants",
    "openai_batches",
    "openai_files",
    "payment",
    "price_hours",
    "receipts",
    "schedule_runs",
    "schedules",
    "schema_version",
    "task_events",
    "task_needs",
    "tasks",
    "transfers",
    "uncounted_tasks",
    "unit_counts",
    "unneeded_blobs",
    "unwritten_requests",
    "usage_samples",
    "use_of_leases",
    "use_of_requests",
    "used_signatures",
    "webhook_attempts",
    "webhook_deliveries",
    "webhooks",
    "where",
    "workflows",
    "write_marks",
]
