-- On a PostgreSQL server: where the coordinator that leads answers those that follow; '' while it does not.

alter table lead add column url text not null default '';
