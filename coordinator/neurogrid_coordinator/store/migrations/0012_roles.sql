-- What accounts and their keys may act as. Those from before go on as they did.

alter table accounts add column roles_json text not null default '["client","provider"]';
alter table api_keys add column roles_json text not null default '["client","provider"]';
