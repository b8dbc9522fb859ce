-- What each coordinator on a PostgreSQL server wrote last, in the transaction that wrote it: who loses the connection in
-- a commit reads here what became of it.

create table write_marks (
    writer text primary key not null,
    mark bigint not null,
    at_ms bigint not null
);
