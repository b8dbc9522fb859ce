-- Who changed what, from where: append-only. `hash` is of all other columns, `previous` the hash of the row before.
create table audit_rows (
  seq integer primary key not null,
  at_ms integer not null,
  account_id text references accounts (id),
  type text not null,
  level text not null,
  message text not null,
  details_json text not null,
  previous text not null unique,
  hash text not null unique
) strict;
create index audit_rows_of_account on audit_rows (account_id, seq);
create index audit_rows_by_age on audit_rows (at_ms);

-- What failed: tasks of accounts, and requests by a bug of ours, which belong to nobody.
create table failures (
  id text primary key not null,
  at_ms integer not null,
  account_id text references accounts (id),
  task_id text,
  severity text not null,
  code text not null,
  message text not null,
  context_json text not null,
  stack text not null,
  resolution text,
  resolved_at_ms integer
) strict;
create index failures_of_account on failures (account_id, id);
create index failures_of_task on failures (task_id);

-- What an account's month, and the market's day, are added up from.
create index tasks_ended on tasks (account_id, ended_at_ms) where ended_at_ms is not null;
create index tasks_by_end on tasks (ended_at_ms) where ended_at_ms is not null;
create index tasks_by_start on tasks (created_at_ms);
