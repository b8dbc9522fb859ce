-- What each account may ask and spend, where that is not the operator's default.
create table account_limits (
  account_id text primary key not null references accounts (id),
  tier text not null,
  monthly_budget_micro_usdc integer,
  monthly_tasks integer,
  task_budget_micro_usdc integer
) strict;

-- What requests with an idempotency key were answered, so that the same one is answered so again.
create table idempotent_answers (
  account_id text not null references accounts (id),
  idempotency_key text not null,
  request_sha256 text not null,
  answer_json text not null,
  created_at_ms integer not null,
  primary key (account_id, idempotency_key)
) strict;
create index idempotent_answers_by_age on idempotent_answers (created_at_ms);
