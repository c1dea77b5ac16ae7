"""What runs inside a device container: the gate, and an engine that takes part in a FederatedScope course.

Imports nothing from the rest of fedsim_runner: images carry this package alone, as ``participant``.
"""
