"""Ways into running jobs, for those who pay for them: commands beside a job."""
