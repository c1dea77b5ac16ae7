"""What may be another while the agent of a run works: its device file is read again before links come into force."""

from __future__ import annotations

from dataclasses import dataclass

from .lab.part import LabPart
from .run_settings import RunSettings


@dataclass
class Current:
    """What all parts of the agent share.

    Attributes:
        settings: from the device file, as it was last read.
        lab: the part that this lab host has in the run.
    """

    settings: RunSettings
    lab: LabPart
