drop table findings;
