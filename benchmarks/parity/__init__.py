"""The same definition files built by Sealift and by Apptainer, everything compared: `python -m benchmarks.parity`."""
