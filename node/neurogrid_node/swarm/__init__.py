"""Jobs on the machines of a Docker swarm (docs/fleet.md)."""
