"""What a device costs its lab host besides its participant, as measured: planning counts with it."""

from __future__ import annotations

from fedsim_runner.lab.host import DeviceOverhead

# Docker 20.10 and runc on 2 cores:
# - memory (PSS, so that shared pages count once; 40 and 500 devices): 2.8 MB for the container's shim, the rest in the
#   Engine and the kernel. The shim's resident memory, 13 MB, is mostly program text that all shims share.
# - CPU time (100 devices, benchmarks/provisioning.py): 0.25 s in runc, shim and kernel, 0.03 s in the Engine.
# - time: an Engine with 16 cores started 300 containers in 39 s (containerlab's published figure): it does not start
#   more than about ten in a second.
# - the shim's threads.
CONTAINER_OVERHEAD = DeviceOverhead(memory_bytes=7 << 19, start_cpu_s=0.28, start_s=0.1, tasks=12)
