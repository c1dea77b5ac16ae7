"""Rate by the kernel's tbf; delay, jitter and loss in user space, for kernels without netem."""
