"""The plays of playbooks/, one stage each."""

from __future__ import annotations

from fedsim_runner.contract.errors import Exit

from ..stages import Stage

STAGES = (
    Stage("preflight", Exit.LAB, leaves=False),
    Stage("lab host", Exit.LAB, leaves=False),
    Stage("images"),
    Stage("participants"),
    Stage("network"),
    Stage("agent"),
    Stage("devices", collect=True),
    Stage("links", collect=True),
    Stage("course", Exit.COURSE, collect=True, live=True),
    Stage("collect", Exit.COURSE, collect=True),
    Stage("teardown"),
    # The teardown is over by then.
    Stage("report", Exit.COURSE, leaves=False),
    Stage("verdict", Exit.COURSE, leaves=False),
    # Not part of a run: the play of `doctor`.
    Stage("doctor", Exit.LAB, leaves=False),
    Stage("probe", Exit.LAB, leaves=False),
    # Before a run: it leaves nothing if it fails.
    Stage("reserve", Exit.LAB, leaves=False),
)
