"""The stages of a course of plain processes; all processes are ended however the course ends."""

from __future__ import annotations

from fedsim_runner.contract.errors import Exit

from ..stages import Stage

STAGES = (
    Stage("participants", leaves=False),
    Stage("course", Exit.COURSE, leaves=False, live=True),
    Stage("verdict", Exit.COURSE, leaves=False),
)
