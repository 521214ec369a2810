"""The node's own object: registration, status, lease, certificates."""
