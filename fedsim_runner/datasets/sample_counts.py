"""How many samples everyone gets: arithmetic alone. No numpy here, so that planning stays quick."""

from __future__ import annotations

from ..catalog.data_sets import CLIENT_TEST_SHARE, CLIENT_VAL_SHARE, MIN_SAMPLES


def count_test_samples(samples: int, test_fraction: float) -> int:
    """How many of the samples are the server's test set."""
    return max(1, round(samples * test_fraction))


def split_sizes(samples: int, own_test: int | None = None) -> dict[str, int]:
    """Sizes of a client's splits; ``own_test``: its file brings a test set of that size, ``samples`` being the rest."""
    val = max(1, round(samples * CLIENT_VAL_SHARE))
    test = max(1, round(samples * CLIENT_TEST_SHARE)) if own_test is None else 0
    return {"train": samples - val - test, "val": val, "test": test if own_test is None else own_test}


def explain_too_few(rest: int, clients: int) -> str | None:
    """Why so many clients cannot share so many samples; None: they can."""
    if clients * MIN_SAMPLES <= rest:
        return None
    return (
        f"{rest} samples are too few for {clients} clients: each needs {MIN_SAMPLES}, "
        f"so at most {rest // MIN_SAMPLES} clients"
    )
