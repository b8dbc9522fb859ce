-- Further runs that verify a task's result, and what they said.

alter table tasks add column belongs_to text;
alter table tasks add column verdict text;
create index tasks_of_group on tasks (belongs_to) where belongs_to is not null;
create index tasks_unjudged on tasks (verdict) where verdict in ('undrawn', 'pending');
