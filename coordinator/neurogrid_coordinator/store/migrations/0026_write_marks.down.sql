drop table write_marks;
