"""Answers of models that stay, asked again elsewhere: what was delivered, by lot, and what follows from it."""
