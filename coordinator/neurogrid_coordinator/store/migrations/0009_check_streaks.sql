-- How many runs of a node in a row were not spot-checked.
create table check_streaks (
  node_id text primary key not null,
  unchecked integer not null
) strict;
