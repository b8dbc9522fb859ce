"""The ``neurogrid-contracts`` command: one module per topic, imported when its command is run."""
