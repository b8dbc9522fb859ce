drop table unwritten_requests;
