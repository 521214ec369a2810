"""Snapshots of a server: its database and its keys in one checked file, and the way back."""
