-- What books and chain did not agree on. Rows are added and resolved, never deleted.

create table differences (
  id integer primary key autoincrement not null,
  kind text not null,
  subject text not null,
  booked text not null,
  found text not null,
  slot integer not null,
  first_seen_at_ms integer not null,
  last_seen_at_ms integer not null,
  resolved_at_ms integer
) strict;
create unique index differences_open on differences (kind, subject) where resolved_at_ms is null;

-- Settled leases whose history was compared with the books, so that each is read once.
create table audited_leases (
  lease_id text primary key not null references leases (id),
  audited_at_ms integer not null
) strict;
