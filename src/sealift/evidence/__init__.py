"""What an image says of itself, and what it can be held to."""
