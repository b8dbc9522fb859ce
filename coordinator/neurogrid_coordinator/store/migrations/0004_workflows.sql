-- Tasks that wait for other tasks, and workflows: tasks that were submitted together.

create table workflows (
  id text primary key not null,
  account_id text not null references accounts (id),
  name text not null,
  idempotency_key text,
  created_at_ms integer not null,
  deleted_at_ms integer,
  spec_json text not null,
  constraint workflows_idempotency unique (account_id, idempotency_key)
) strict;
create index workflows_of_account on workflows (account_id, id);

alter table tasks add column workflow_id text references workflows (id);
alter table tasks add column workflow_key text;
create index tasks_of_workflow on tasks (workflow_id, id) where workflow_id is not null;

create table task_needs (
  task_id text not null references tasks (id),
  needed_id text not null references tasks (id),
  primary key (task_id, needed_id)
) strict;
create index task_needs_needed on task_needs (needed_id);
