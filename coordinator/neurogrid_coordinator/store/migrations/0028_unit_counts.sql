-- What an account's models have read and made on a day (days since 1970, UTC), by unit: marketplace `ModelUnit`.
create table unit_counts (
  account_id text not null references accounts (id),
  day integer not null,
  model text not null,
  unit text not null,
  amount integer not null,
  primary key (account_id, day, model, unit)
) strict;

-- Tasks of models that have completed, and whose answers are not counted yet.
create table uncounted_tasks (
  task_id text primary key not null references tasks (id)
) strict;

-- Those that have completed before are counted, too.
insert into uncounted_tasks (task_id)
  select id from tasks where model is not null and belongs_to is null and phase = 'completed';
