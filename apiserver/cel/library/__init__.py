"""What the functions do, a module a library. Each adds its overloads to a table (``functions.Functions``)."""
