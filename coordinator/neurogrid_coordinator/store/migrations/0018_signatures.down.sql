drop table used_signatures;
-- Whoever signed in has to do so again: an older release would take that for a key.
delete from api_keys where kind = 'sign_in';
alter table api_keys drop column kind;
alter table accounts drop column signs_writes;
