drop table idempotent_answers;
drop table account_limits;
