drop table model_suspicions;
drop table model_checks;
