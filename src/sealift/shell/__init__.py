"""Shell scripts as values: what a section's script says, place by place, without running it."""
