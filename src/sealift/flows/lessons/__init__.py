"""What `sealift learn check` looks at: one file a family of checks, and the table that names them all."""
