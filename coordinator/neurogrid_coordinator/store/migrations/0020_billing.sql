-- What wallets were asked to sign and what became of it; invoices of what was paid; and of each lease's
-- money, in columns, what lists and sums need (`settlement_json` stays the truth).

create table transfers (
  id text primary key not null,
  account_id text not null references accounts (id),
  wallet text not null,
  kind text not null,
  amount_micro integer not null,
  currency text not null,
  recipient text not null,
  says_json text not null,
  request_json text not null,
  idempotency_key text,
  message blob not null,
  fee_lamports integer not null,
  last_valid_block_height integer not null,
  slot integer not null,
  created_at_ms integer not null,
  expires_at_ms integer not null,
  updated_at_ms integer not null,
  state text not null,
  signed blob,
  signature text,
  landed_slot integer,
  failure text not null,
  constraint transfers_idempotency unique (account_id, idempotency_key)
) strict;
create index transfers_of_account on transfers (account_id, id);
create index transfers_under_way on transfers (state, id) where state in ('signed', 'confirmed');

create table invoices (
  id text primary key not null,
  account_id text not null references accounts (id),
  number integer not null,
  period_start_ms integer not null,
  period_end_ms integer not null,
  issued_at_ms integer not null,
  account_name text not null,
  wallet text not null,
  total_micro_usdc integer not null,
  lines integer not null,
  constraint invoices_number unique (account_id, number)
) strict;

alter table leases add column max_cost_micro_usdc integer not null default 0;
alter table leases add column signed_micro_usdc integer not null default 0;
alter table leases add column paid_micro_usdc integer not null default 0;
-- When its escrow was closed; null before, and where none was opened.
alter table leases add column settled_at_ms integer;
alter table leases add column invoice_id text references invoices (id);
update leases set
  max_cost_micro_usdc = settlement_json ->> '$.max_cost_micro_usdc',
  signed_micro_usdc = settlement_json ->> '$.signed_micro_usdc',
  paid_micro_usdc = settlement_json ->> '$.paid_micro_usdc',
  settled_at_ms = case when settlement_phase = 'closed' and escrow <> ''
    then settlement_json ->> '$.since_ms' end
  where json_valid(settlement_json);
create index leases_of_account on leases (account_id, created_at_ms);
create index leases_of_wallet on leases (wallet, settled_at_ms);
create index leases_of_invoice on leases (invoice_id, settled_at_ms) where invoice_id is not null;
create index leases_to_invoice on leases (settled_at_ms)
  where invoice_id is null and settled_at_ms is not null and paid_micro_usdc > 0;
