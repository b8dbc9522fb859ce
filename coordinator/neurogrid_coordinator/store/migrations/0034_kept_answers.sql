-- Answers of replicas to requests with an idempotency key: what each came to, and the file that has what the model's server said.
create table kept_answers (
  account_id text not null references accounts (id),
  idempotency_key text not null,
  request_sha256 text not null,
  bill_json text not null,
  sha256 text not null,
  size_bytes integer not null,
  created_at_ms integer not null,
  primary key (account_id, idempotency_key)
) strict;
create index kept_answers_by_age on kept_answers (created_at_ms);
create index kept_answers_of_file on kept_answers (sha256);
