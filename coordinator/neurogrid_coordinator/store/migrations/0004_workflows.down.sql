drop table task_needs;
drop index tasks_of_workflow;
alter table tasks drop column workflow_key;
alter table tasks drop column workflow_id;
drop table workflows;
