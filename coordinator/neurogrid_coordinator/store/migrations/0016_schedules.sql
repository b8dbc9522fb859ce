-- What runs at times: schedules, and each of their runs, of which there is one for a due time.

create table schedules (
  id text primary key not null,
  account_id text not null references accounts (id),
  name text not null,
  cron text not null,
  time_zone text not null,
  template_json text not null,
  output_file text not null,
  output_artifact integer not null,
  dry_run integer not null,
  missed text not null,
  overlap text not null,
  is_active integer not null,
  ends_at_ms integer,
  next_run_at_ms integer,
  last_run_at_ms integer,
  idempotency_key text,
  request_sha256 text not null,
  created_at_ms integer not null,
  updated_at_ms integer not null,
  deleted_at_ms integer,
  constraint schedules_idempotency unique (account_id, idempotency_key)
) strict;
create index schedules_of_account on schedules (account_id, id);
create index schedules_due on schedules (next_run_at_ms) where next_run_at_ms is not null;

create table schedule_runs (
  id text primary key not null,
  schedule_id text not null references schedules (id),
  account_id text not null references accounts (id),
  due_at_ms integer not null,
  by_hand integer not null,
  state text not null,
  batch_id text references batches (id),
  note text not null,
  output_sha256 text,
  started_at_ms integer,
  ended_at_ms integer,
  constraint schedule_runs_once unique (schedule_id, due_at_ms)
) strict;
create index schedule_runs_open on schedule_runs (state) where state in ('due', 'started');
