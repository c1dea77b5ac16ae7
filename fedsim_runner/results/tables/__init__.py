"""The files of a run as tables: rounds, devices, time, labels."""
