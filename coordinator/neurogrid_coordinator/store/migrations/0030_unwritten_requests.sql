-- Waiting tasks that have all they need, but for what they ask a model: it is to be written with words that others have left.
create table unwritten_requests (
  task_id text primary key not null references tasks (id)
) strict;
