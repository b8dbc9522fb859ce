drop table check_counts;
drop index tasks_unjudged;
drop index tasks_of_group;
alter table tasks drop column verdict;
alter table tasks drop column belongs_to;
