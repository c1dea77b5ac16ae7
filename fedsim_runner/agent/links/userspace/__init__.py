"""Links in user space, for kernels without netem."""
