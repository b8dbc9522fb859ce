drop table usage_samples;
