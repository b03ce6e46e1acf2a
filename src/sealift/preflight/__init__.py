"""Judges an image for a site before a queue does: pure functions from what was read of both to findings."""
