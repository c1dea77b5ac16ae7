"""Experiment files: YAML in, a `Draft` with the `Experiment` and all mistakes out.

Pure except for reading the file and those that it includes: no data set is opened and no engine consulted. The checks
that do so come afterwards, see :mod:`fedsim_runner.runs.experiment_file`.
"""
