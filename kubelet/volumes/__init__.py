"""Volumes: what their files hold (pure), how they get onto the disk, and how they go away."""
