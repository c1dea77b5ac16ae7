"""Asks FederatedScope itself for the tensors of a model that is not one of its own: a user's, or a package's."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..model_shapes import Tensor
from .source import SettingsError
from .user_settings import user_settings

PROGRAM = Path(__file__).with_name("model_program.py")
TIMEOUT_S = 60.0


def ask_for_tensors(model: Mapping[str, Any], input_shape: Sequence[int], source: Path) -> list[Tensor] | None:
    """The tensors of a model; None: no interpreter with FederatedScope's packages is configured, or it does not know.

    Args:
        model: FederatedScope's section of that name.
        input_shape: that of a batch.
        source: FederatedScope's checkout or wheel.
    """
    try:
        python = user_settings().python
    except SettingsError:
        return None  # reported where the interpreter is needed
    if python is None:
        return None
    request = json.dumps({"model": model, "input_shape": list(input_shape)})
    environment = {**os.environ, "PYTHONPATH": str(source)}
    try:
        done = subprocess.run(
            [python, str(PROGRAM)], input=request, env=environment, capture_output=True, text=True, errors="replace",
            timeout=TIMEOUT_S, check=True,
        )  # fmt: skip
        return [Tensor(str(name), tuple(shape), bool(trained)) for name, shape, trained in json.loads(done.stdout)]
    except (OSError, ValueError, TypeError, subprocess.SubprocessError):
        return None
