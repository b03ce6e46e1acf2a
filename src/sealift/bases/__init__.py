"""Where an image starts: one bootstrap agent a file.

Nothing is imported here: the registry's client is the larger part of what these files need, and many builds need none.
"""
