-- What awards cleared at, by the hour and by what they buy (marketplace PriceHour). Old hours are deleted.

create table price_hours (
  name text not null,
  at_ms integer not null,
  hour_json text not null,
  primary key (name, at_ms)
) strict;
create index price_hours_by_age on price_hours (at_ms);
