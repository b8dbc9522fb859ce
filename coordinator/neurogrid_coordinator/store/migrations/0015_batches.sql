-- Batches: lists of requests, a few of which are tasks at a time.

create table batches (
  id text primary key not null,
  account_id text not null references accounts (id),
  client_id text,
  name text not null,
  description text not null,
  idempotency_key text,
  request_sha256 text not null,
  state text not null,
  defaults_json text not null,
  max_concurrency integer not null,
  retries integer not null,
  max_cost_micro_usdc integer,
  most_micro_usdc integer not null,
  spent_micro_usdc integer not null,
  note text not null,
  pending integer not null,
  released integer not null,
  completed integer not null,
  failed integer not null,
  cancelled integer not null,
  created_at_ms integer not null,
  updated_at_ms integer not null,
  started_at_ms integer,
  ended_at_ms integer,
  deleted_at_ms integer,
  cleared_at_ms integer,
  constraint batches_idempotency unique (account_id, idempotency_key),
  constraint batches_client_id unique (account_id, client_id)
) strict;
create index batches_of_account on batches (account_id, id);
create index batches_by_state on batches (state);
create index batches_to_clear on batches (deleted_at_ms) where deleted_at_ms is not null and cleared_at_ms is null;

create table batch_items (
  batch_id text not null references batches (id),
  position integer not null,
  client_id text not null,
  state text not null,
  request_json text not null,
  attempts integer not null,
  tries integer not null,
  task_id text references tasks (id),
  held_micro_usdc integer not null,
  cost_micro_usdc integer not null,
  code text not null,
  message text not null,
  ended_at_ms integer,
  primary key (batch_id, position),
  constraint batch_items_client_id unique (batch_id, client_id)
) strict;
create index batch_items_by_state on batch_items (batch_id, state, position);
