"""The rules of the market: no I/O, no clock, no randomness."""

__version__ = "0.1.0"
