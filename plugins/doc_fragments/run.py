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
    CONTROL = r"""
options:
  control:
    description:
      - The process that works on the run, which the module's action plugin fills in. While another one that is alive
        has claimed the run, a module that would change something of it fails with its name and C(fedsim_exit_code) 2.
        To the lab host a process of another machine is alive for two minutes after its last call, unless the caller is
        on that machine, too, and knows better.
      - Without it, as in a module that is run by hand, the run is not claimed.
    type: dict
"""
    DEVICES = r"""
options:
  devices:
    description:
      - Only devices whose name matches; shell patterns separated by commas, V(!) in front excludes. Empty for all.
    type: str
    default: ""
"""
