-- Answers of models that were asked again elsewhere, and what came of it. `request_digest`: SHA-256 of what was asked. `judged`:
-- marketplace `Judged`. `evidence_json`: the request and all answers, where any differed.
create table model_checks (
  id text primary key not null,
  at_ms integer not null,
  model text not null,
  node_id text not null,
  wallet text not null,
  account_id text not null references accounts (id),
  task_id text not null,
  request_digest text not null,
  judged text not null,
  others_json text not null,
  seen_json text not null,
  cost_micro_usdc integer not null,
  evidence_json text
) strict;
create index model_checks_by_age on model_checks (at_ms);
create index model_checks_of_node on model_checks (node_id, model, request_digest);

-- What they come to, of each node and model: marketplace `Suspicion`. `charge`: what follows from it, a marketplace `Charge`.
create table model_suspicions (
  node_id text not null,
  model text not null,
  wallet text not null,
  suspicion_json text not null,
  charge text,
  charged_at_ms integer,
  primary key (node_id, model)
) strict;
