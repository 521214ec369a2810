"""`describe`: one object in words, in kubectl's layout. A writer, and a file for each family of kinds. Pure."""
