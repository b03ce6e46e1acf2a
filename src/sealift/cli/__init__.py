"""The command line: parses, calls a flow, renders; nothing else."""
