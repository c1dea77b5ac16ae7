"""Device types, network profiles, data sets and engines as data, which an experiment file may name."""
