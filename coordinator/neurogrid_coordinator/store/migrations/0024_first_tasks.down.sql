drop index batch_items_first_task;
alter table batch_items drop column first_task_id;
