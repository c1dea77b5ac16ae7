"""What `benchmarks.fidelity` measures, one figure per module."""
