drop table use_of_requests;
drop table use_of_leases;
