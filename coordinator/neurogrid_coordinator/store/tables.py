"""Every table, as SQLAlchemy sees it. `migrations` creates them; a test compares the two.

Times are Unix milliseconds (``*_at_ms``), money is micro-USDC, JSON is text written by msgspec.
"""

from sqlalchemy import (
    BigInteger,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
)

metadata = MetaData()

schema_version = Table(
    "schema_version",
    metadata,
    Column("version", Integer, primary_key=True),
    Column("applied_at_ms", BigInteger, nullable=False),
)

# Whoever submits tasks. One account per wallet: what the wallet has on the chain is its budget.
accounts = Table(
    "accounts",
    metadata,
    Column("id", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("wallet", Text, nullable=False, unique=True),
    Column("created_at_ms", BigInteger, nullable=False),
)

# The key itself is never stored. `hint` is its first characters, for people with several.
api_keys = Table(
    "api_keys",
    metadata,
    Column("id", Text, primary_key=True),
    Column("account_id", Text, ForeignKey("accounts.id"), nullable=False),
    Column("name", Text, nullable=False),
    Column("hint", Text, nullable=False),
    Column("key_sha256", Text, nullable=False, unique=True),
    Column("scopes_json", Text, nullable=False),
    Column("created_at_ms", BigInteger, nullable=False),
    Column("expires_at_ms", BigInteger),
    Column("revoked_at_ms", BigInteger),
    Column("last_used_at_ms", BigInteger),
)
Index("api_keys_account", api_keys.c.account_id)

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
    UniqueConstraint("account_id", "idempotency_key", name="tasks_idempotency"),
)
Index(
    "tasks_of_group",
    tasks.c.belongs_to,
    sqlite_where=tasks.c.belongs_to.is_not(None),
)
# Tasks that were paid at once and about which a spot check has still to decide something.
Index(
    "tasks_unjudged",
    tasks.c.verdict,
    sqlite_where=tasks.c.verdict.in_(["due", "pending"]),
)
# Ids grow with time, so this is also the order of lists.
Index("tasks_of_account", tasks.c.account_id, tasks.c.id)
# Holds all that counting a list needs.
Index(
    "tasks_listed",
    tasks.c.account_id,
    tasks.c.phase,
    tasks.c.deleted_at_ms,
    sqlite_where=tasks.c.deleted_at_ms.is_(None),
)
Index("tasks_phase", tasks.c.phase)
Index(
    "tasks_of_workflow",
    tasks.c.workflow_id,
    tasks.c.id,
    sqlite_where=tasks.c.workflow_id.is_not(None),
)

Index(
    "tasks_of_spread",
    tasks.c.account_id,
    tasks.c.spread_group,
    sqlite_where=tasks.c.spread_group.is_not(None),
)

# Which tasks a task waits for (marketplace `Needs`), so that the end of one finds who waits for it.
task_needs = Table(
    "task_needs",
    metadata,
    Column("task_id", Text, ForeignKey("tasks.id"), primary_key=True),
    Column("needed_id", Text, ForeignKey("tasks.id"), primary_key=True),
)
Index("task_needs_needed", task_needs.c.needed_id)

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
)
Index("leases_of_task", leases.c.task_id)
Index(
    "leases_started",
    leases.c.node_id,
    leases.c.created_at_ms,
    sqlite_where=leases.c.start_took_ms.is_not(None),
)
Index("leases_of_node", leases.c.node_id)
Index("leases_settlement", leases.c.settlement_phase)

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

# Signed envelopes, as they travelled. `subject_id`: a lease, or the demand of an auction.
evidence = Table(
    "evidence",
    metadata,
    Column("seq", Integer, primary_key=True, autoincrement=True),
    Column("subject_id", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("envelope_json", Text, nullable=False),
    sqlite_autoincrement=True,
)
Index("evidence_of_subject", evidence.c.subject_id, evidence.c.seq)

# A lease's log: UTF-8 pieces by the number of bytes before them.
log_chunks = Table(
    "log_chunks",
    metadata,
    Column("lease_id", Text, ForeignKey("leases.id"), primary_key=True),
    Column("offset", BigInteger, primary_key=True),
    Column("size_bytes", Integer, nullable=False),
    Column("data", LargeBinary, nullable=False),
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

# One row: how many runs might have been spot-checked, and how many only checked others.
check_counts = Table(
    "check_counts",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("checkable", BigInteger, nullable=False),
    Column("redundant", BigInteger, nullable=False),
)

# How many runs of a node in a row were not spot-checked.
check_streaks = Table(
    "check_streaks",
    metadata,
    Column("node_id", Text, primary_key=True),
    Column("unchecked", Integer, nullable=False),
)

# What the coordinator has seen of nodes (marketplace `Finding`), as it happened. `finding_json`: the finding.
# `details_json`: what a challenge answered; {} for all else. Of a lease there is one of each kind.
findings = Table(
    "findings",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("node_id", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("at_ms", BigInteger, nullable=False),
    Column("lease_id", Text, ForeignKey("leases.id")),
    Column("finding_json", Text, nullable=False),
    Column("details_json", Text, nullable=False),
    UniqueConstraint("lease_id", "kind", name="findings_once"),
    sqlite_autoincrement=True,
)
Index("findings_of_node", findings.c.node_id, findings.c.id)

# What awards cleared at (`prices`): per class and hour a marketplace `PriceHour`; old hours are deleted.
price_hours = Table(
    "price_hours",
    metadata,
    Column("name", Text, primary_key=True, nullable=False),
    Column("at_ms", BigInteger, primary_key=True, nullable=False),
    Column("hour_json", Text, nullable=False),
)
Index("price_hours_by_age", price_hours.c.at_ms)

# What books and chain did not agree on (`reconciliation`). Rows are added and resolved, never deleted:
# one that comes back is another row. `slot`: where the chain was when it was last seen.
differences = Table(
    "differences",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("kind", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("booked", Text, nullable=False),
    Column("found", Text, nullable=False),
    Column("slot", BigInteger, nullable=False),
    Column("first_seen_at_ms", BigInteger, nullable=False),
    Column("last_seen_at_ms", BigInteger, nullable=False),
    Column("resolved_at_ms", BigInteger),
    sqlite_autoincrement=True,
)
Index(
    "differences_open",
    differences.c.kind,
    differences.c.subject,
    unique=True,
    sqlite_where=differences.c.resolved_at_ms.is_(None),
)

# Settled leases whose history was compared with the books, so that each is read once.
audited_leases = Table(
    "audited_leases",
    metadata,
    Column("lease_id", Text, ForeignKey("leases.id"), primary_key=True),
    Column("audited_at_ms", BigInteger, nullable=False),
)

# What nodes were asked to show of their hardware (`challenger`). `challenge_json`: marketplace `Challenge`,
# once it is planned; `max_cost_micro_usdc`: what its task may cost at most. `note`: what came of it, in words.
challenges = Table(
    "challenges",
    metadata,
    Column("id", Text, primary_key=True),
    Column("node_id", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("note", Text, nullable=False),
    Column("max_cost_micro_usdc", BigInteger, nullable=False),
    Column("asked_at_ms", BigInteger, nullable=False),
    Column("ended_at_ms", BigInteger),
    Column("challenge_json", Text),
    Column("task_id", Text, ForeignKey("tasks.id")),
)
Index("challenges_of_node", challenges.c.node_id, challenges.c.id)
Index("challenges_by_age", challenges.c.asked_at_ms)
Index(
    "challenges_open",
    challenges.c.state,
    sqlite_where=challenges.c.state.in_(["asked", "planned", "running"]),
)

# Signed files of evidence (marketplace `challenge_evidence`); the newest of each node are kept.
challenge_evidence = Table(
    "challenge_evidence",
    metadata,
    Column("challenge_id", Text, ForeignKey("challenges.id"), primary_key=True),
    Column("node_id", Text, nullable=False),
    Column("digest", Text, nullable=False),
    Column("data", LargeBinary, nullable=False),
)
Index(
    "challenge_evidence_of_node",
    challenge_evidence.c.node_id,
    challenge_evidence.c.challenge_id,
)
