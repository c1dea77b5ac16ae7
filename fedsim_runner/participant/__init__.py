"""The program in a device container: it waits at the gate, then an engine takes part in a FederatedScope course.

Of fedsim_runner it imports only :mod:`fedsim_runner.contract`: images hold only these two packages.
"""
