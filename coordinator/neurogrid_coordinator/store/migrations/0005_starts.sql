-- How long the start took by our clock, for leases that started while we were watching.

alter table leases add column start_took_ms integer;
create index leases_started on leases (node_id, created_at_ms) where start_took_ms is not null;
