drop table challenge_evidence;
drop table challenges;
