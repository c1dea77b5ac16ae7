"""Links that are in force: which they are, changing them while packets pass, and restoring them."""
