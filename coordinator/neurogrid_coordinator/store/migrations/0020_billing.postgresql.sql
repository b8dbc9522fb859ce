


create table transfers (
  id text collate "C" primary key not null,
  account_id text collate "C" not null references accounts (id),
  wallet text collate "C" not null,
  kind text collate "C" not null,
  amount_micro bigint not null,
  currency text collate "C" not null,
  recipient text collate "C" not null,
  says_json text collate "C" not null,
  request_json text collate "C" not null,
  idempotency_key text collate "C",
  message bytea not null,
  fee_lamports bigint not null,
  last_valid_block_height bigint not null,
  slot bigint not null,
  created_at_ms bigint not null,
  expires_at_ms bigint not null,
  updated_at_ms bigint not null,
  state text collate "C" not null,
  signed bytea,
  signature text collate "C",
  landed_slot bigint,
  failure text collate "C" not null,
  constraint transfers_idempotency unique (account_id, idempotency_key)
);
create index transfers_of_account on transfers (account_id, id);
create index transfers_under_way on transfers (state, id) where state in ('signed', 'confirmed');

create table invoices (
  id text collate "C" primary key not null,
  account_id text collate "C" not null references accounts (id),
  number bigint not null,
  period_start_ms bigint not null,
  period_end_ms bigint not null,
  issued_at_ms bigint not null,
  account_name text collate "C" not null,
  wallet text collate "C" not null,
  total_micro_usdc bigint not null,
  lines bigint not null,
  constraint invoices_number unique (account_id, number)
);

alter table leases add column max_cost_micro_usdc bigint not null default 0;
alter table leases add column signed_micro_usdc bigint not null default 0;
alter table leases add column paid_micro_usdc bigint not null default 0;

alter table leases add column settled_at_ms bigint;
alter table leases add column invoice_id text collate "C" references invoices (id);
update leases set
  max_cost_micro_usdc = (settlement_json::json ->> 'max_cost_micro_usdc')::bigint,
  signed_micro_usdc = (settlement_json::json ->> 'signed_micro_usdc')::bigint,
  paid_micro_usdc = (settlement_json::json ->> 'paid_micro_usdc')::bigint,
  settled_at_ms = case when settlement_phase = 'closed' and escrow <> ''
    then (settlement_json::json ->> 'since_ms')::bigint end
  where settlement_json like '{%';
create index leases_of_account on leases (account_id, created_at_ms);
create index leases_of_wallet on leases (wallet, settled_at_ms);
create index leases_of_invoice on leases (invoice_id, settled_at_ms) where invoice_id is not null;
create index leases_to_invoice on leases (settled_at_ms)
  where invoice_id is null and settled_at_ms is not null and paid_micro_usdc > 0;
