drop index tasks_of_spread;
alter table tasks drop column spread_group;
