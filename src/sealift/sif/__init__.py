"""The Singularity Image Format: the on-disk format drawn (`layout`), written (`writer`) and read (`reader`)."""
