-- The tables of store/tables.py, which explains them. STRICT: SQLite then checks column types.

create table accounts (
  id text primary key not null,
  name text not null,
  wallet text not null unique,
  created_at_ms integer not null
) strict;

create table api_keys (
  id text primary key not null,
  account_id text not null references accounts (id),
  name text not null,
  hint text not null,
  key_sha256 text not null unique,
  scopes_json text not null,
  created_at_ms integer not null,
  expires_at_ms integer,
  revoked_at_ms integer,
  last_used_at_ms integer
) strict;
create index api_keys_account on api_keys (account_id);

create table tasks (
  id text primary key not null,
  account_id text not null references accounts (id),
  name text not null,
  kind text not null,
  priority integer not null,
  idempotency_key text,
  created_at_ms integer not null,
  updated_at_ms integer not null,
  deleted_at_ms integer,
  spec_json text not null,
  job_json text not null,
  state_json text not null,
  phase text not null,
  hold_micro_usdc integer not null check (hold_micro_usdc >= 0),
  cost_micro_usdc integer not null check (cost_micro_usdc >= 0),
  node_id text,
  lease_id text,
  started_at_ms integer,
  ended_at_ms integer,
  progress_permille integer not null,
  progress_note text not null,
  constraint tasks_idempotency unique (account_id, idempotency_key)
) strict;
create index tasks_of_account on tasks (account_id, id);
create index tasks_listed on tasks (account_id, phase, deleted_at_ms)
where deleted_at_ms is null;
create index tasks_phase on tasks (phase);

-- What an account's tasks hold in all: the sum of tasks.hold_micro_usdc, kept by the triggers below.
-- Every submission asks for it, and adding up a queue of ten thousand tasks takes a millisecond.
create table account_holds (
  account_id text primary key not null references accounts (id),
  held_micro_usdc integer not null check (held_micro_usdc >= 0)
) strict;
create trigger tasks_hold_inserted after insert on tasks begin
  insert into account_holds values (new.account_id, new.hold_micro_usdc)
  on conflict (account_id) do update
  set held_micro_usdc = held_micro_usdc + excluded.held_micro_usdc;
end;
create trigger tasks_hold_changed after update of hold_micro_usdc on tasks
when new.hold_micro_usdc <> old.hold_micro_usdc begin
  update account_holds
  set held_micro_usdc = held_micro_usdc + new.hold_micro_usdc - old.hold_micro_usdc
  where account_id = new.account_id;
end;

create table leases (
  id text primary key not null,
  task_id text not null references tasks (id),
  account_id text not null references accounts (id),
  node_id text not null,
  wallet text not null,
  created_at_ms integer not null,
  updated_at_ms integer not null,
  lease_json text not null,
  settlement_json text not null,
  settlement_phase text not null,
  escrow text not null,
  escrow_sequence integer not null,
  opened_by text not null,
  events_stored integer not null,
  event_hash text not null,
  finished integer not null,
  log_bytes integer not null,
  metered_ms integer not null
) strict;
create index leases_of_task on leases (task_id);
create index leases_of_node on leases (node_id);
create index leases_settlement on leases (settlement_phase);

create table task_events (
  seq integer primary key autoincrement not null,
  task_id text not null,
  account_id text not null,
  at_ms integer not null,
  kind text not null,
  data_json text not null
) strict;
create index task_events_of_task on task_events (task_id, seq);
create index task_events_of_account on task_events (account_id, seq);

create table evidence (
  seq integer primary key autoincrement not null,
  subject_id text not null,
  kind text not null,
  envelope_json text not null
) strict;
create index evidence_of_subject on evidence (subject_id, seq);

create table log_chunks (
  lease_id text not null references leases (id),
  "offset" integer not null,
  size_bytes integer not null,
  data blob not null,
  primary key (lease_id, "offset")
) strict;

create table artifacts (
  sha256 text not null,
  account_id text not null references accounts (id),
  size_bytes integer not null,
  lease_id text,
  created_at_ms integer not null,
  primary key (sha256, account_id)
) strict;
create index artifacts_of_account on artifacts (account_id, created_at_ms);

create table receipts (
  lease_id text primary key not null references leases (id),
  task_id text not null references tasks (id),
  account_id text not null references accounts (id),
  created_at_ms integer not null,
  receipt_json text not null
) strict;
create index receipts_of_task on receipts (task_id);
