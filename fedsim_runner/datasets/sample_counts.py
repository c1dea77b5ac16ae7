"""How many samples each device gets. This module does not import numpy, so that planning stays quick."""

from __future__ import annotations

from ..catalog.data_sets import CLIENT_TEST_SHARE, CLIENT_VAL_SHARE, MIN_SAMPLES


def count_test_samples(samples: int, test_fraction: float) -> int:
    """Return how many of the samples become the server's test set."""
    return max(1, round(samples * test_fraction))


def split_sizes(samples: int, own_test: int | None = None) -> dict[str, int]:
    """Compute the sizes of a client's splits; ``own_test``: the size of its file's own test set, not in ``samples``."""
    val = max(1, round(samples * CLIENT_VAL_SHARE))
    test = max(1, round(samples * CLIENT_TEST_SHARE)) if own_test is None else 0
    return {"train": samples - val - test, "val": val, "test": test if own_test is None else own_test}


def explain_too_few(rest: int, clients: int) -> str | None:
    """Say why this many clients cannot share this many samples; None: they can."""
    if clients * MIN_SAMPLES <= rest:
        return None
    samples = f"{rest} sample is" if rest == 1 else f"{rest} samples are"
    return (
        f"{samples} too few for {clients} clients: each needs {MIN_SAMPLES}, so at most {rest // MIN_SAMPLES} clients"
    )
