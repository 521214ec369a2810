"""Images: names, archives, pulls with back-off, garbage collection."""
