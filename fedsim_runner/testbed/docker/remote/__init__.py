"""Lab hosts elsewhere: their Engines over ssh, and their probe."""
