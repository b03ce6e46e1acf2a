"""What is known of the machines that images are meant for: dated facts, each with its source."""
