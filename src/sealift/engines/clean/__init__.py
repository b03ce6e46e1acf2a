"""Engines that begin with nothing: no variable of the host enters, and no folder is shown that was not asked for."""
