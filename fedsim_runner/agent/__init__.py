"""What runs on a lab host for the length of a run: links, gate, supervision, samples, journal.

The package is also copied into the agent's image as top-level ``agent``: it imports nothing from the rest of
fedsim_runner and needs only the standard library, ``tc``, ``ip`` and ``iptables``.
"""

PROTOCOL = 1
