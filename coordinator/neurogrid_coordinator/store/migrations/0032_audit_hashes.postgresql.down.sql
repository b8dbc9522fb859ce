alter table audit_rows add constraint audit_rows_previous_key unique (previous);
alter table audit_rows add constraint audit_rows_hash_key unique (hash);
