"""The images of the definition files in every engine, compared in full: `python -m benchmarks.parity --engines`."""
