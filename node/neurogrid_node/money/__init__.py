"""Earnings, stake, and the owner's moves on the chain."""
