"""SquashFS 4.0: the on-disk format drawn (`layout`), written (`writer`) and read (`reader`)."""
