drop index leases_started;
alter table leases drop column start_took_ms;
