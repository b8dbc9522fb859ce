"""What is found out about nodes, what proves it, and where books and chain differ."""

from sqlalchemy import (
    BigInteger,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    Table,
    Text,
    UniqueConstraint,
)

from .base import metadata, where

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
    **where(differences.c.resolved_at_ms.is_(None)),
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
    **where(challenges.c.state.in_(["asked", "planned", "running"])),
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

# Answers of models that were asked again elsewhere (`model_checks`), and what came of it. `request_digest`: SHA-256 of what was
# asked. `judged`: marketplace `Judged`; `seen_json`: its `Comparison`. `evidence_json`: the request and all answers, where any differed.
model_checks = Table(
    "model_checks",
    metadata,
    Column("id", Text, primary_key=True),
    Column("at_ms", BigInteger, nullable=False),
    Column("model", Text, nullable=False),
    Column("node_id", Text, nullable=False),
    Column("wallet", Text, nullable=False),
    Column("account_id", Text, ForeignKey("accounts.id"), nullable=False),
    Column("task_id", Text, nullable=False),
    Column("request_digest", Text, nullable=False),
    Column("judged", Text, nullable=False),
    Column("others_json", Text, nullable=False),
    Column("seen_json", Text, nullable=False),
    Column("cost_micro_usdc", BigInteger, nullable=False),
    Column("evidence_json", Text),
)
Index("model_checks_by_age", model_checks.c.at_ms)
Index(
    "model_checks_of_node",
    model_checks.c.node_id,
    model_checks.c.model,
    model_checks.c.request_digest,
)

# What they come to, of each node and model: marketplace `Suspicion`. `charge`: what follows from it, a marketplace `Charge`.
model_suspicions = Table(
    "model_suspicions",
    metadata,
    Column("node_id", Text, primary_key=True),
    Column("model", Text, primary_key=True),
    Column("wallet", Text, nullable=False),
    Column("suspicion_json", Text, nullable=False),
    Column("charge", Text),
    Column("charged_at_ms", BigInteger),
)
