drop table lead;
drop table payment;
