"""Tasks, what they wait for, the money that is held for them, and their agreements with nodes."""

from sqlalchemy import BigInteger, Column, ForeignKey, Index, Integer, Table, Text, UniqueConstraint

from .base import metadata, where

# `spec_json`: as submitted. `job_json`: marketplace `Job`. `state_json`: marketplace `Task`, the
# one truth; the columns after it repeat parts of it so that they can be listed and filtered.
tasks = Table(
    "tasks",
    metadata,
    Column("id", Text, primary_key=True),
    Column("account_id", Text, ForeignKey("accounts.id"), nullable=False),
    Column("name", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("priority", Integer, nullable=False),
    Column("idempotency_key", Text),
    Column("created_at_ms", BigInteger, nullable=False),
    Column("updated_at_ms", BigInteger, nullable=False),
    Column("deleted_at_ms", BigInteger),
    Column("spec_json", Text, nullable=False),
    Column("job_json", Text, nullable=False),
    Column("state_json", Text, nullable=False),
    Column("phase", Text, nullable=False),
    Column("hold_micro_usdc", BigInteger, nullable=False),
    Column("cost_micro_usdc", BigInteger, nullable=False),
    Column("node_id", Text),
    Column("lease_id", Text),
    Column("started_at_ms", BigInteger),
    Column("ended_at_ms", BigInteger),
    Column("progress_permille", Integer, nullable=False),
    Column("progress_note", Text, nullable=False),
    Column("workflow_id", Text, ForeignKey("workflows.id")),
    Column("workflow_key", Text),
    # Of a further run: the task whose result it verifies. Such a run is in no list.
    Column("belongs_to", Text),
    Column("verdict", Text),
    Column("spread_group", Text),
    # The id of the model that it asks.
    Column("model", Text),
    UniqueConstraint("account_id", "idempotency_key", name="tasks_idempotency"),
)
Index(
    "tasks_of_group",
    tasks.c.belongs_to,
    **where(tasks.c.belongs_to.is_not(None)),
)
# Tasks that were paid at once and about which a spot check has still to decide something.
Index(
    "tasks_unjudged",
    tasks.c.verdict,
    **where(tasks.c.verdict.in_(["due", "pending"])),
)
# Ids grow with time, so this is also the order of lists.
Index("tasks_of_account", tasks.c.account_id, tasks.c.id)
# Holds all that counting a list needs.
Index(
    "tasks_listed",
    tasks.c.account_id,
    tasks.c.phase,
    tasks.c.deleted_at_ms,
    **where(tasks.c.deleted_at_ms.is_(None)),
)
Index("tasks_phase", tasks.c.phase)
Index(
    "tasks_ended",
    tasks.c.account_id,
    tasks.c.ended_at_ms,
    **where(tasks.c.ended_at_ms.is_not(None)),
)
Index("tasks_by_end", tasks.c.ended_at_ms, **where(tasks.c.ended_at_ms.is_not(None)))
Index("tasks_by_start", tasks.c.created_at_ms)
Index(
    "tasks_of_workflow",
    tasks.c.workflow_id,
    tasks.c.id,
    **where(tasks.c.workflow_id.is_not(None)),
)
Index(
    "tasks_of_spread",
    tasks.c.account_id,
    tasks.c.spread_group,
    **where(tasks.c.spread_group.is_not(None)),
)
Index(
    "tasks_of_model",
    tasks.c.account_id,
    tasks.c.model,
    tasks.c.id,
    **where(tasks.c.model.is_not(None)),
)

# Which tasks a task waits for (marketplace `Needs`), so that the end of one finds who waits for it.
task_needs = Table(
    "task_needs",
    metadata,
    Column("task_id", Text, ForeignKey("tasks.id"), primary_key=True),
    Column("needed_id", Text, ForeignKey("tasks.id"), primary_key=True),
)
Index("task_needs_needed", task_needs.c.needed_id)

# Waiting tasks that have all they need, but for what they ask a model: it is to be written with words that others have left.
unwritten_requests = Table(
    "unwritten_requests",
    metadata,
    Column("task_id", Text, ForeignKey("tasks.id"), primary_key=True, nullable=False),
)

# Tasks that were submitted together; `tasks.workflow_key` is a task's name in it. `spec_json`: as
# submitted, to tell a repeated request from another one.
workflows = Table(
    "workflows",
    metadata,
    Column("id", Text, primary_key=True),
    Column("account_id", Text, ForeignKey("accounts.id"), nullable=False),
    Column("name", Text, nullable=False),
    Column("idempotency_key", Text),
    Column("created_at_ms", BigInteger, nullable=False),
    Column("deleted_at_ms", BigInteger),
    Column("spec_json", Text, nullable=False),
    UniqueConstraint("account_id", "idempotency_key", name="workflows_idempotency"),
)
Index("workflows_of_account", workflows.c.account_id, workflows.c.id)

# Requests that their owners gave an id. Each execution is a task; `task_id`: the newest. `label`: which of its
# owner's batches it says that it belongs to. `request_sha256`: of what was asked for at first.
named_tasks = Table(
    "named_tasks",
    metadata,
    Column("id", Text, primary_key=True, nullable=False),
    Column("account_id", Text, ForeignKey("accounts.id"), nullable=False),
    Column("client_id", Text, nullable=False),
    Column("label", Text, nullable=False),
    Column("request_json", Text, nullable=False),
    Column("metadata_json", Text, nullable=False),
    Column("idempotency_key", Text),
    Column("request_sha256", Text, nullable=False),
    Column("task_id", Text, ForeignKey("tasks.id"), nullable=False),
    Column("executions", Integer, nullable=False),
    Column("created_at_ms", BigInteger, nullable=False),
    Column("updated_at_ms", BigInteger, nullable=False),
    UniqueConstraint("account_id", "client_id", name="named_tasks_client_id"),
    UniqueConstraint("account_id", "idempotency_key", name="named_tasks_idempotency"),
)
Index("named_tasks_of_account", named_tasks.c.account_id, named_tasks.c.created_at_ms)
Index("named_tasks_by_task", named_tasks.c.task_id)

# The sum of `tasks.hold_micro_usdc` of each account; triggers keep it (`migrations`).
account_holds = Table(
    "account_holds",
    metadata,
    Column("account_id", Text, ForeignKey("accounts.id"), primary_key=True),
    Column("held_micro_usdc", BigInteger, nullable=False),
)

# A lease is a task's agreement with one node. `lease_json`: marketplace `Lease` as awarded.
# `settlement_json`: marketplace `Settlement`. `event_hash`: what the next event must name.
leases = Table(
    "leases",
    metadata,
    Column("id", Text, primary_key=True),
    Column("task_id", Text, ForeignKey("tasks.id"), nullable=False),
    Column("account_id", Text, ForeignKey("accounts.id"), nullable=False),
    Column("node_id", Text, nullable=False),
    Column("wallet", Text, nullable=False),
    Column("created_at_ms", BigInteger, nullable=False),
    Column("updated_at_ms", BigInteger, nullable=False),
    Column("lease_json", Text, nullable=False),
    Column("settlement_json", Text, nullable=False),
    Column("settlement_phase", Text, nullable=False),
    Column("escrow", Text, nullable=False),
    Column("escrow_sequence", BigInteger, nullable=False),
    Column("opened_by", Text, nullable=False),
    Column("events_stored", Integer, nullable=False),
    Column("event_hash", Text, nullable=False),
    Column("finished", Integer, nullable=False),
    Column("log_bytes", BigInteger, nullable=False),
    Column("metered_ms", BigInteger, nullable=False),
    Column("start_took_ms", BigInteger),
    Column("checkpoint", Integer, nullable=False, server_default="0"),
    # Parts of `settlement_json`, for lists and sums. `settled_at_ms`: when its escrow was closed.
    Column("max_cost_micro_usdc", BigInteger, nullable=False, server_default="0"),
    Column("signed_micro_usdc", BigInteger, nullable=False, server_default="0"),
    Column("paid_micro_usdc", BigInteger, nullable=False, server_default="0"),
    Column("settled_at_ms", BigInteger),
    Column("invoice_id", Text, ForeignKey("invoices.id")),
)
Index("leases_of_task", leases.c.task_id)
Index("leases_of_account", leases.c.account_id, leases.c.created_at_ms)
Index("leases_of_wallet", leases.c.wallet, leases.c.settled_at_ms)
Index(
    "leases_of_invoice",
    leases.c.invoice_id,
    leases.c.settled_at_ms,
    **where(leases.c.invoice_id.is_not(None)),
)
Index(
    "leases_to_invoice",
    leases.c.settled_at_ms,
    **where(
        leases.c.invoice_id.is_(None)
        & leases.c.settled_at_ms.is_not(None)
        & (leases.c.paid_micro_usdc > 0)
    ),
)
Index(
    "leases_started",
    leases.c.node_id,
    leases.c.created_at_ms,
    **where(leases.c.start_took_ms.is_not(None)),
)
Index("leases_of_node", leases.c.node_id)
Index("leases_settlement", leases.c.settlement_phase)

_UNITS = ("input_tokens", "cached_input_tokens", "output_tokens", "images", "audio_ms", "requests")
# What was passed on to the client of a lease for use, in all.
use_of_leases = Table(
    "use_of_leases",
    metadata,
    Column("lease_id", Text, ForeignKey("leases.id"), primary_key=True, nullable=False),
    *(Column(name, BigInteger, nullable=False) for name in _UNITS),
)
# How far each of its answers is in that, until its money is settled.
use_of_requests = Table(
    "use_of_requests",
    metadata,
    Column("request_id", Text, primary_key=True, nullable=False),
    Column("lease_id", Text, ForeignKey("leases.id"), nullable=False),
    *(Column(name, BigInteger, nullable=False) for name in _UNITS),
)
Index("use_of_requests_of_lease", use_of_requests.c.lease_id)
