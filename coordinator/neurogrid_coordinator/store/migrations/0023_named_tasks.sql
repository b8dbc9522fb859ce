-- Requests that their owners gave an id. Each execution of one is a task; `task_id` is the newest. `label`: which of
-- its owner's batches it says that it belongs to, "" for none. `request_sha256`: of what was asked for at first.
create table named_tasks (
  id text primary key not null,
  account_id text not null references accounts (id),
  client_id text not null,
  label text not null,
  request_json text not null,
  metadata_json text not null,
  idempotency_key text,
  request_sha256 text not null,
  task_id text not null references tasks (id),
  executions integer not null,
  created_at_ms integer not null,
  updated_at_ms integer not null,
  constraint named_tasks_client_id unique (account_id, client_id),
  constraint named_tasks_idempotency unique (account_id, idempotency_key)
) strict;
create index named_tasks_of_account on named_tasks (account_id, created_at_ms);
create index named_tasks_by_task on named_tasks (task_id);
