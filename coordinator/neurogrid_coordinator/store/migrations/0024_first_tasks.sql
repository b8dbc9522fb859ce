-- Which task a batch's item will be at first, so that its owner knows it before its turn comes.
alter table batch_items add column first_task_id text;
create index batch_items_first_task on batch_items (first_task_id) where first_task_id is not null;
