"""Cluster DNS on every node: answered from memory, fed by the same watch as the proxy (DNS spec 1.1.0)."""
