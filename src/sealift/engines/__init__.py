"""From a launch plan to a running program: one engine a file, and the choice between them."""
