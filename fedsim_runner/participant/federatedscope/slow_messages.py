"""Warns of a model that this Python packs into messages for minutes.

FederatedScope sends a model to be evaluated, and the last one, number by number. It asks for protobuf 3.20, which is in
pure Python from Python 3.11 on. Images have a newer one; without Docker the user's interpreter has what it has.
"""

from __future__ import annotations

import importlib
import logging
from typing import Any

IMPLEMENTATION = "google.protobuf.internal.api_implementation"
# Packing, on a processor of 2024; unpacking takes a third of that.
SECONDS_PER_NUMBER = 2e-4
# Shorter than this it is not worth a word.
LEAST_S = 30

logger = logging.getLogger("federatedscope.core.workers")


def warn_of_slow_messages(server: Any) -> None:
    """Log a warning if packing the server's model once takes long."""
    if importlib.import_module(IMPLEMENTATION).Type() != "python":
        return
    numbers = sum(value.numel() for model in server.models for value in model.state_dict().values())
    seconds = numbers * SECONDS_PER_NUMBER
    if seconds >= LEAST_S:
        logger.warning(
            f"protobuf is in pure Python here: a model of {numbers:,} numbers takes about {seconds / 60:.0f} min to "
            "pack when clients shall evaluate it, and at the end, and a third of that to unpack; "
            "course.timeout has to allow for that (in containers it is compiled, and some 100 times faster)"
        )
