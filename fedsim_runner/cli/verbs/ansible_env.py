"""The verb ansible-env: environment variables for plain Ansible."""

from __future__ import annotations

import shlex
import sys

from fedsim_runner.content import collection_playbooks
from fedsim_runner.contract.errors import Exit

from ..app import app


@app.command(name="ansible-env")
def ansible_env() -> int:
    """Print the environment variables that plain Ansible needs: eval "$(fedsim-provision ansible-env)"."""
    from fedsim_runner.testbed.docker.playbook_environment import ansible_environment

    for name, value in {**ansible_environment(), "FEDSIM_PLAYBOOKS": str(collection_playbooks())}.items():
        sys.stdout.write(f"export {name}={shlex.quote(value)}\n")
    sys.stdout.write("# ansible-playbook -i DIR/hosts.yml fedsim.testbed.run_experiment\n")
    return Exit.DONE
