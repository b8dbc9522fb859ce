-- Where accounts want to be told of events, and what is to be told there.

create table webhooks (
  id text primary key not null,
  account_id text not null references accounts (id),
  url text not null,
  host text not null,
  description text not null,
  events_json text not null,
  filter_json text not null,
  secret text not null,
  signature text not null,
  max_attempts integer not null,
  backoff_s integer not null,
  state text not null,
  reason text not null,
  failures integer not null,
  failing_since_ms integer,
  delivered_at_ms integer,
  created_at_ms integer not null,
  updated_at_ms integer not null,
  idempotency_key text,
  request_sha256 text,
  constraint webhooks_idempotency unique (account_id, idempotency_key)
) strict;
create index webhooks_of_account on webhooks (account_id, id);

create table webhook_deliveries (
  id text primary key not null,
  webhook_id text not null references webhooks (id),
  kind text not null,
  subject_id text not null,
  event_seq integer,
  at_ms integer not null,
  body text,
  state text not null,
  by_hand integer not null,
  attempts integer not null,
  attempts_max integer not null,
  next_at_ms integer not null,
  ended_at_ms integer
) strict;
create index webhook_deliveries_of_webhook on webhook_deliveries (webhook_id, id);
create index webhook_deliveries_due on webhook_deliveries (webhook_id, next_at_ms) where state = 'pending';
create index webhook_deliveries_ended on webhook_deliveries (ended_at_ms) where ended_at_ms is not null;

create table webhook_attempts (
  delivery_id text not null references webhook_deliveries (id),
  number integer not null,
  at_ms integer not null,
  took_ms integer,
  status integer,
  error text not null,
  answer text not null,
  primary key (delivery_id, number)
) strict;
