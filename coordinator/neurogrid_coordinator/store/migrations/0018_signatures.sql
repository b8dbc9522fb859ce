-- What wallets sign: which accounts ask for it always, what was used, and who signed in by it.

alter table accounts add column signs_writes integer not null default 0;
alter table api_keys add column kind text not null default 'key';

create table used_signatures (
  account_id text not null references accounts (id),
  text_sha256 text not null,
  until_ms integer not null,
  primary key (account_id, text_sha256)
) strict;
create index used_signatures_by_end on used_signatures (until_ms);
