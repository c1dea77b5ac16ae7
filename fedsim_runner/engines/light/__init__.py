"""The light engine, seen from the control node."""
