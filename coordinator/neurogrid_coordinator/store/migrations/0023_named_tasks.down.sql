drop table named_tasks;
