"""The databases of package managers, one file each: `read(files)` gives what a database lists."""
