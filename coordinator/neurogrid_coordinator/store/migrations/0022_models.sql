-- Which model a task asks, by its id in the catalogue.
alter table tasks add column model text;
create index tasks_of_model on tasks (account_id, model, id) where model is not null;
