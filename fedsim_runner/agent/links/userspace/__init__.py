"""Delay, jitter and loss in user space, for kernels without netem."""
