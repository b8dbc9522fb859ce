alter table audit_rows rename to audit_rows_before;
create table audit_rows (
  seq integer primary key not null,
  at_ms integer not null,
  account_id text references accounts (id),
  type text not null,
  level text not null,
  message text not null,
  details_json text not null,
  previous text not null unique,
  hash text not null unique
) strict;
insert into audit_rows select * from audit_rows_before;
drop table audit_rows_before;
create index audit_rows_of_account on audit_rows (account_id, seq);
create index audit_rows_by_age on audit_rows (at_ms);
