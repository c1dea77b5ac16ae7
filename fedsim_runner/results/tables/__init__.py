"""A run's files as tables: rounds, devices, time, labels."""
