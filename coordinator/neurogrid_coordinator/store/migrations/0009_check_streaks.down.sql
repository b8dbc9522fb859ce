drop table check_streaks;
