"""The command ``neurogrid wallet``: one module per topic, imported when its command is run."""
