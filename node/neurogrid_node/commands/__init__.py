"""The commands of neurogrid-node, a file for each or for each family."""
