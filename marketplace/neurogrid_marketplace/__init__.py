"""The rules of the market: no I/O, no clock, no randomness."""
