"""`neurogrid-node benchmark`: how fast this machine is at what jobs need, and whether it still is what it was."""
