"""What is found out about nodes: challenges, runs that are made twice, and how their results are compared."""
