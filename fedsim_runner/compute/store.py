"""Where calibrations are kept: in this user's state folder, one file per processor, reference and image."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path

from ..contract import atomic
from ..contract.errors import Exit, FedsimError
from ..contract.typed_json import FormError, dump, load
from ..user_folders import STATE_HINT, state_home
from .calibration import Calibration

FOLDER = "calibration"


def keep(calibration: Calibration) -> Path:
    """Write a calibration in the place of an earlier one of the same; return its file.

    Raises:
        FedsimError: it cannot be written.
    """
    key = "\n".join((calibration.processor, calibration.reference, calibration.image))
    digest = hashlib.sha256(key.encode()).hexdigest()[:16]
    path = state_home() / FOLDER / f"{calibration.reference}-{digest}.json"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        atomic.write(path, json.dumps(dump(calibration), indent=1) + "\n")
    except OSError as error:
        raise FedsimError(f"{path}: {error.strerror}", Exit.LAB, hint=STATE_HINT) from error
    return path


def known_for(processor: str) -> Mapping[str, Calibration]:
    """Return the newest calibration of each reference on a processor."""
    found: dict[str, Calibration] = {}
    for one in sorted(_read(), key=lambda one: one.measured_at):
        if one.processor == processor:
            found[one.reference] = one
    return found


def find(processor: str, reference: str, image: str) -> Calibration | None:
    """Return the calibration of a reference in an image on a processor."""
    return next(
        (one for one in _read() if (one.processor, one.reference, one.image) == (processor, reference, image)), None
    )


def _read() -> Iterator[Calibration]:
    for path in sorted((state_home() / FOLDER).glob("*.json")):
        try:
            found = load(Calibration, json.loads(path.read_text(encoding="utf-8")), str(path))
        except (OSError, ValueError, FormError):
            continue  # what cannot be read is measured again
        if found.is_whole:
            yield found
