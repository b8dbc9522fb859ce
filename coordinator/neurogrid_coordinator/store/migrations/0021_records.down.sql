drop index tasks_by_start;
drop index tasks_by_end;
drop index tasks_ended;
drop table failures;
drop table audit_rows;
