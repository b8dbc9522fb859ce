"""`neurogrid-node doctor`: what keeps this machine from taking jobs, and what to do about it."""
