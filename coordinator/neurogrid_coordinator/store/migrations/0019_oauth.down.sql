-- An older release would take an application's token for a key.
delete from api_keys where kind = 'application';
drop index api_keys_of_grant;
drop index api_keys_of_client;
alter table api_keys drop column grant_id;
alter table api_keys drop column client_id;
drop table oauth_grants;
drop table oauth_clients;
