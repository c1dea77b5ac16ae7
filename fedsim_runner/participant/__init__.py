"""What runs inside a device container: the gate, and an engine that takes part in a FederatedScope course.

Imports nothing else of fedsim_runner but :mod:`fedsim_runner.contract`: images carry these two packages alone.
"""
