drop index tasks_of_model;
alter table tasks drop column model;
