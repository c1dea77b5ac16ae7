"""With how many threads a device's libraries compute."""

from __future__ import annotations

from typing import Final

#: Read by libraries that would otherwise start one thread per core of the lab host.
VARIABLES: Final = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "TORCH_NUM_THREADS",
)


def threads_for(cpus: float) -> int:
    """Return the number of threads of a device that may use so many cores: one for each whole core, at least one.

    Threads wait for each other after each operation, by spinning, which counts as processor time. With two of them on
    1.2 cores waiting uses up the quota, and all are held back: a step of a small model takes up to 5 times as long as
    with one, and still twice as long if they sleep instead. Threads with a core each cannot use up the quota.
    """
    return max(1, int(cpus))


def thread_variables(threads: int) -> dict[str, str]:
    """Return the environment of a participant that computes with so many threads."""
    return dict.fromkeys(VARIABLES, str(threads))
