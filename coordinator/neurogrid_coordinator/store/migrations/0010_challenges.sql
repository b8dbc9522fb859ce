-- What nodes were asked to show of their hardware, and what came of it.

create table challenges (
  id text primary key not null,
  node_id text not null,
  reason text not null,
  state text not null,
  note text not null,
  max_cost_micro_usdc integer not null,
  asked_at_ms integer not null,
  ended_at_ms integer,
  challenge_json text,
  task_id text references tasks (id)
) strict;
create index challenges_of_node on challenges (node_id, id);
create index challenges_by_age on challenges (asked_at_ms);
create index challenges_open on challenges (state) where state in ('asked', 'planned', 'running');

create table challenge_evidence (
  challenge_id text primary key not null references challenges (id),
  node_id text not null,
  digest text not null,
  data blob not null
) strict;
create index challenge_evidence_of_node on challenge_evidence (node_id, challenge_id);
