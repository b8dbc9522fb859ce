drop table price_hours;
