"""Measuring the links of a lab host's devices before the gate opens: what is sent, who sends it, the result."""
