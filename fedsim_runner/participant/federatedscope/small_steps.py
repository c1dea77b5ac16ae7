"""A training step that is short takes longer with several threads: it is computed by one.

Needs nothing but the standard library and torch.
"""

from __future__ import annotations

import importlib
import itertools
import statistics
import time
from typing import Any

#: Steps that take less processor time than this do not gain by a second thread: benchmarks/threads.py.
SHORT_STEP_S = 0.001
#: The first steps take longer, since torch loads what they need.
LEFT_OUT, COUNTED = 3, 8


def compute_small_steps_alone() -> None:
    """Let torch train with one thread until the length of its steps is known, then with all that this device has.

    The processor time between two steps of an optimizer is counted, whatever the trainer is, and nothing is computed
    for it. Does nothing where torch has one thread, or is too old to report steps (before 2.0).
    """
    torch = importlib.import_module("torch")
    register = getattr(importlib.import_module("torch.optim.optimizer"), "register_optimizer_step_post_hook", None)
    threads = torch.get_num_threads()
    if threads == 1 or register is None:
        return
    torch.set_num_threads(1)
    moments: list[float] = []

    def stepped(*_: Any) -> None:
        moments.append(time.thread_time())
        if len(moments) > LEFT_OUT + COUNTED:
            handle.remove()
            counted = moments[LEFT_OUT:]
            if statistics.median(later - former for former, later in itertools.pairwise(counted)) >= SHORT_STEP_S:
                torch.set_num_threads(threads)

    handle = register(stepped)
