drop table audited_leases;
drop table differences;
