"""An engine of another package: its participants average one number over plain TCP."""
