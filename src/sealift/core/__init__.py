"""Values without I/O: what the rest of the program hands around."""
