-- What was passed on to the client of a lease for use, in all.
create table use_of_leases (
  lease_id text primary key not null references leases (id),
  input_tokens integer not null,
  cached_input_tokens integer not null,
  output_tokens integer not null,
  images integer not null,
  audio_ms integer not null,
  requests integer not null
) strict;

-- How far each of its answers is in that, until its money is settled.
create table use_of_requests (
  request_id text primary key not null,
  lease_id text not null references leases (id),
  input_tokens integer not null,
  cached_input_tokens integer not null,
  output_tokens integer not null,
  images integer not null,
  audio_ms integer not null,
  requests integer not null
) strict;
create index use_of_requests_of_lease on use_of_requests (lease_id);
