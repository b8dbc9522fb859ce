-- Tasks that share no node, wallet or region with others of their group.

alter table tasks add column spread_group text;
create index tasks_of_spread on tasks (account_id, spread_group) where spread_group is not null;
