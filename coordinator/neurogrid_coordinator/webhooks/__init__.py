"""Telling clients' servers what happens: what is sent, when, and how."""
