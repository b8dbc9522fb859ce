"""The numbers we are judged by, each measured beside its floor in one interleaved run."""
