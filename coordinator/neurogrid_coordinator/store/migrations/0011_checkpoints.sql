-- What jobs keep of their work while they run: blobs by task, and the files of each checkpoint.

create table checkpoint_blobs (
  task_id text not null references tasks (id),
  sha256 text not null,
  account_id text not null references accounts (id),
  size_bytes integer not null,
  created_at_ms integer not null,
  primary key (task_id, sha256)
) strict;
create index checkpoint_blobs_by_hash on checkpoint_blobs (sha256);
create index checkpoint_blobs_of_account on checkpoint_blobs (account_id);

create table checkpoint_files (
  task_id text not null references tasks (id),
  sequence integer not null,
  path text not null,
  sha256 text not null,
  size_bytes integer not null,
  primary key (task_id, sequence, path)
) strict;

-- Blobs that nothing may need any more; each is looked at, and deleted from the disk if that is so.
create table unneeded_blobs (
  sha256 text primary key not null
) strict;

alter table leases add column checkpoint integer not null default 0;
