"""Sealift: reproducible container images for supercomputers."""

__version__ = "0.1.0"
