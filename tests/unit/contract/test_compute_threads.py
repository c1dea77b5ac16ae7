"""With how many threads a device computes: never with more than it has whole cores."""

from __future__ import annotations

import pytest

from fedsim_runner.contract.compute_threads import VARIABLES, thread_variables, threads_for


@pytest.mark.parametrize(("cpus", "threads"), [(0.001, 1), (1.0, 1), (1.2, 1), (1.99999, 1), (2.0, 2), (7.5, 7)])
def test_threads_have_a_core_each(cpus: float, threads: int) -> None:
    assert threads_for(cpus) == threads


def test_all_libraries_are_told() -> None:
    assert {"OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"} <= set(VARIABLES)
    assert thread_variables(2) == dict.fromkeys(VARIABLES, "2")
