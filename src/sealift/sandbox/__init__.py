"""Runs commands as root in a root file system, without root, as far as the host allows it."""
