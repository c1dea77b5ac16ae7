"""A run's life on the control node: its folder, its registry entry, its manifest, from plan to teardown."""
