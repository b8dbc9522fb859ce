"""Copies of a coordinator's state, and the way back from one."""
