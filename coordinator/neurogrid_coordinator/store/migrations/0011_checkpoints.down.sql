alter table leases drop column checkpoint;
drop table unneeded_blobs;
drop table checkpoint_files;
drop table checkpoint_blobs;
