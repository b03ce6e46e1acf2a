"""The only effects: processes, files, the network, the kernel."""
