-- Further runs that verify a task's result, and what they said.

alter table tasks add column belongs_to text;
alter table tasks add column verdict text;
create index tasks_of_group on tasks (belongs_to) where belongs_to is not null;
create index tasks_unjudged on tasks (verdict) where verdict in ('due', 'pending');

-- How many runs might have been spot-checked, and how many runs only checked others: one row.
create table check_counts (
  id integer primary key not null check (id = 1),
  checkable integer not null,
  redundant integer not null
) strict;
insert into check_counts values (1, 0, 0);
