"""What an operator types, a file a subject. Nothing slow is imported before a command runs."""
