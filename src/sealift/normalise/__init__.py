"""Noise that builds leave behind, taken out of what lies above the base, once, at the merge."""
