-- What the coordinator has seen of nodes: the evidence behind their reputation.

create table findings (
  id integer primary key autoincrement not null,
  node_id text not null,
  kind text not null,
  at_ms integer not null,
  lease_id text references leases (id),
  finding_json text not null,
  details_json text not null,
  constraint findings_once unique (lease_id, kind)
) strict;
create index findings_of_node on findings (node_id, id);
