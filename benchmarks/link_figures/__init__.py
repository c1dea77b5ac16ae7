"""What `benchmarks.links` measures: one module for each figure, and the table that all fill."""
