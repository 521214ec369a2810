"""Container logs on disk: their names, their format, their rotation."""
