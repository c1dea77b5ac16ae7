"""Which run a module works on, where its files are, and which of its devices are selected."""

from __future__ import annotations


class ModuleDocFragment:
    """The run id, and one fragment for each option that only some modules have."""

    DOCUMENTATION = r"""
options:
  run:
    description: Run id.
    type: str
    required: true
"""
    STATE_DIR = r"""
options:
  state_dir:
    description: The run's state folder on the lab host.
    type: path
    required: true
"""
    DEVICES = r"""
options:
  devices:
    description:
      - Only devices whose name matches; shell patterns separated by commas, V(!) in front excludes. Empty for all.
    type: str
    default: ""
"""
