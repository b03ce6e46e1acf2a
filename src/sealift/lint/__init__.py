"""Rules over a definition file that parses: what will bite when it is built, kept, moved or run."""
