"""Several machines as one node, on whichever engine (docs/fleet.md)."""
