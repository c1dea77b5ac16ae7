"""The program in a device container: it loads an engine, waits at the gate, then takes part in a course.

Of fedsim_runner it imports only :mod:`fedsim_runner.contract`: images hold only these two packages.
"""
