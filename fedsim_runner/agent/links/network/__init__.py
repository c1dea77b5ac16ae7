"""The run's network on one lab host: its namespace, and what connects devices to it and to each other."""
