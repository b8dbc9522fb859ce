create table usage_samples (
  lease_id text not null references leases (id),
  at_ms integer not null,
  usage_json text not null,
  memory_peak_bytes integer not null,
  primary key (lease_id, at_ms)
) strict;
