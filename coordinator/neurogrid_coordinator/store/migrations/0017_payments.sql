-- On a PostgreSQL server: the payments of the coordinator that leads (neurogrid_wallet.payment_store), and how
-- often one began to lead. A coordinator on a file keeps its payments in payments.db.

create table payment (
  sequence integer primary key autoincrement not null,
  payment_id text not null unique,
  identity blob not null,
  intent text,
  state text not null,
  attempts integer not null,
  raw blob,
  signature text unique,
  last_valid_block_height integer,
  signed_slot integer,
  landed_slot integer,
  failure text,
  created_at_s integer not null,
  decided_at_s integer,
  two_endpoints integer not null default 0
) strict;
create index payment_undecided on payment (state, sequence) where decided_at_s is null;
create index payment_decided on payment (decided_at_s) where decided_at_s is not null;

create table lead (
  id integer primary key not null check (id = 1),
  term integer not null
) strict;
insert into lead values (1, 0);
