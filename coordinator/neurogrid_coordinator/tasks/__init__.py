"""Moves tasks from submission to their end: turns, auctions, steps, and what nodes say of them."""
