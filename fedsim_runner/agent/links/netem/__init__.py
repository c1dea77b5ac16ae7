"""A whole link by the kernel's netem, one qdisc in each direction."""
