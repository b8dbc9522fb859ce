-- As on SQLite, where the table is rebuilt for it.
alter table audit_rows drop constraint audit_rows_previous_key;
alter table audit_rows drop constraint audit_rows_hash_key;
