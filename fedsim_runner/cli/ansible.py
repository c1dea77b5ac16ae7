"""The verb ansible-env."""

from __future__ import annotations

import shlex
import sys

from ..content import content_root
from ..contract.errors import Exit
from ..testbed.docker.playbook import ansible_environment
from .app import app


@app.command(name="ansible-env")
def ansible_env() -> int:
    """Print the variables that plain Ansible needs: eval "$(fedsim-provision ansible-env)"."""
    playbooks = content_root() / "playbooks"
    for name, value in {**ansible_environment(), "FEDSIM_PLAYBOOKS": str(playbooks)}.items():
        sys.stdout.write(f"export {name}={shlex.quote(value)}\n")
    sys.stdout.write('# ansible-playbook -i DIR/hosts.yml "$FEDSIM_PLAYBOOKS/run_experiment.yml"\n')
    return Exit.DONE
