alter table api_keys drop column roles_json;
alter table accounts drop column roles_json;
