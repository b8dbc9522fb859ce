"""Jobs on the machines of a Kubernetes cluster (docs/fleet.md)."""
