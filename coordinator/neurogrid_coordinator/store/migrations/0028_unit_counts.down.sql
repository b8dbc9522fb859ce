drop table uncounted_tasks;
drop table unit_counts;
