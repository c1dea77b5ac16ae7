"""Where libraries write by default: all of it must land in the only folder that a participant may write to."""

from __future__ import annotations

from collections.abc import MutableMapping
from pathlib import Path

FOLDER = "tmp"
# Where torch looks for pretrained weights.
WEIGHTS = "TORCH_HOME"
VARIABLES = ("TMPDIR", "HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", WEIGHTS, "TORCHINDUCTOR_CACHE_DIR",
             "MPLCONFIGDIR", "JOBLIB_TEMP_FOLDER")  # fmt: skip


def use(scratch: Path, environment: MutableMapping[str, str]) -> None:
    """Have libraries write to a folder. Weights that the device's image or the shell brings are still found."""
    weights = environment.get(WEIGHTS, "")
    environment.update(dict.fromkeys(VARIABLES, str(scratch)))
    if weights and Path(weights).is_dir():
        environment[WEIGHTS] = weights
