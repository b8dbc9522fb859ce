"""Inputs, outputs and the disks of jobs."""
