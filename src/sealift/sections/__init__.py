"""The sections of a definition file: what runs where, what is copied, and what is written below /.singularity.d."""
