"""The part that runs on a lab host during a run: links, gate, supervision, samples, journal.

The package is also copied into the agent's image, together with :mod:`fedsim_runner.contract`. It imports nothing
else from fedsim_runner and needs only the standard library, ``tc``, ``ip`` and ``iptables``.
"""

PROTOCOL = 1
