-- OAuth 2: applications, what was allowed to them, and the tokens of both.

create table oauth_clients (
  id text primary key not null,
  account_id text not null references accounts (id),
  name text not null,
  secret_sha256 text,
  old_secret_sha256 text,
  old_secret_until_ms integer,
  redirect_uris_json text not null,
  scopes_json text not null,
  roles_json text not null,
  created_at_ms integer not null,
  expires_at_ms integer
) strict;
create index oauth_clients_of_account on oauth_clients (account_id, id);

create table oauth_grants (
  id text primary key not null,
  client_id text not null references oauth_clients (id),
  account_id text not null references accounts (id),
  scopes_json text not null,
  roles_json text not null,
  redirect_uri text not null,
  code_sha256 text not null unique,
  code_challenge text not null,
  code_until_ms integer not null,
  code_used_at_ms integer,
  family_sha256 text unique,
  refresh_sha256 text,
  created_at_ms integer not null,
  expires_at_ms integer not null,
  revoked_at_ms integer
) strict;
create index oauth_grants_of_account on oauth_grants (account_id, id);
create index oauth_grants_of_client on oauth_grants (client_id);

alter table api_keys add column client_id text;
alter table api_keys add column grant_id text;
create index api_keys_of_client on api_keys (client_id) where client_id is not null;
create index api_keys_of_grant on api_keys (grant_id) where grant_id is not null;
