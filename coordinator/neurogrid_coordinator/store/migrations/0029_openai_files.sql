create table openai_files (
  id text primary key not null,
  account_id text not null references accounts (id),
  sha256 text not null,
  size_bytes integer not null,
  filename text not null,
  purpose text not null,
  created_at_ms integer not null
) strict;
create index openai_files_of_account on openai_files (account_id, id);
create table openai_batches (
  id text primary key not null,
  account_id text not null references accounts (id),
  endpoint text not null,
  input_file_id text not null,
  input_sha256 text not null,
  metadata_json text not null,
  created_at_ms integer not null,
  expires_at_ms integer not null,
  cancelling_at_ms integer,
  finished_at_ms integer,
  output_file_id text,
  error_file_id text
) strict;
create index openai_batches_of_account on openai_batches (account_id, id);
