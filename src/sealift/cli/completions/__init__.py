"""What shells complete: each shell's script, written from the grammar of the command line."""
