drop table kept_answers;
