"""An experiment file as an inventory."""

from __future__ import annotations

DOCUMENTATION = r"""
name: experiment
short_description: An experiment file as an inventory
description:
  - Reads an experiment file, plans the experiment on this machine, and provides its lab hosts and devices with the
    variables that the playbooks of this collection need. The file's name must end in C(.fedsim.yaml) or C(.fedsim.yml).
  - Writes the device files into the run folder, C(runs/RUN) below the current folder, where their content differs.
  - The run is the same at every call, so that C(fedsim.testbed.destroy) finds what C(fedsim.testbed.run_experiment)
    made. The extra variables C(fedsim_run) and C(fedsim_run_dir) take precedence over everything else.
author: fedsim-runner (@fedsim-runner)
requirements: ["fedsim-runner, for the Python that runs Ansible"]
options:
  plugin:
    description:
      - Lets Ansible find this plugin where C(enable_plugins) does not name it. A key of the experiment file.
    type: str
    choices: [fedsim.testbed.experiment]
  run:
    description: Run id. The experiment's name if not given.
    type: str
    env:
      - name: FEDSIM_INVENTORY_RUN
    ini:
      - section: fedsim_inventory
        key: run
"""

EXAMPLES = r"""
# In ansible.cfg:
# [inventory]
# enable_plugins = fedsim.testbed.experiment, ansible.builtin.host_list, ansible.builtin.yaml
#
# ansible-inventory -i quickstart.fedsim.yaml --graph
# ansible-playbook -i quickstart.fedsim.yaml fedsim.testbed.run_experiment
#
# Without ansible.cfg, the file's own first key names the plugin:
plugin: fedsim.testbed.experiment
name: quickstart
"""

import re
import sys
import traceback
from pathlib import Path
from typing import Any, NoReturn

from ansible.plugins.inventory import BaseInventoryPlugin

SUFFIXES = (".fedsim.yaml", ".fedsim.yml")
YAML_SUFFIXES = (".yaml", ".yml")
# Ansible's own exit code for a file that it cannot read.
PARSER_ERROR = 4
# Keys that every experiment file has and no inventory has.
EXPERIMENT_KEYS = (re.compile(r"^devices:\s*(#.*)?$", re.MULTILINE), re.compile(r"^federatedscope:", re.MULTILINE))


class InventoryModule(BaseInventoryPlugin):
    """Hosts and groups of one experiment."""

    NAME = "fedsim.testbed.experiment"
    # As in the inventory that `fedsim-provision inventory` writes: names in an experiment have been checked, and
    # the only template in it is ours.
    trusted_by_default = True

    def verify_file(self, path: str) -> bool:
        """Whether the file is an experiment; also true without the suffix, so that parse() can say how to rename it."""
        if not super().verify_file(path):
            return False
        return path.endswith(SUFFIXES) or (path.endswith(YAML_SUFFIXES) and looks_like_an_experiment(Path(path)))

    def parse(self, inventory: Any, loader: Any, path: str, cache: bool = True) -> None:
        super().parse(inventory, loader, path, cache)
        if not path.endswith(SUFFIXES):
            self._refuse(
                f"{path} is an experiment file: Ansible reads it as an inventory if its name ends in .fedsim.yaml "
                f"({Path(path).stem}.fedsim.yaml), and `fedsim-provision inventory {path} -o DIR` writes an inventory"
            )
        try:
            # Imported only here: Ansible loads this plugin for every inventory, and most are none of ours.
            from fedsim_runner.contract.errors import FedsimError
            from fedsim_runner.runs.plain_ansible import experiment_as_inventory
            from fedsim_runner.yamlfile.spec_errors import SpecErrors
        except ImportError:
            self.display.vvv(traceback.format_exc())
            self._refuse(
                "the Python that runs Ansible has no fedsim-runner, which reads experiment files: install it into "
                f"ansible-playbook's environment ({sys.executable} -m pip install fedsim-runner)"
            )
        self.set_options()
        # Plain strings: Ansible's own carry tags, which cannot be written as YAML.
        run = str(self._vars.get("fedsim_run") or self.get_option("run") or "")
        folder = str(self._vars.get("fedsim_run_dir") or "")
        try:
            inventory_tree = experiment_as_inventory(Path(path), run or None, Path(folder) if folder else None)
        except SpecErrors as errors:
            count = len(errors.errors)
            self._refuse(f"{errors}\n{count} mistake{'s' if count > 1 else ''} in {path}")
        except FedsimError as error:
            self._refuse(str(error))
        self._add("all", inventory_tree["all"])

    def _refuse(self, text: str) -> NoReturn:
        """End Ansible with a message.

        Ansible passes a file that one plugin rejects to the next one, and the YAML plugin would turn the experiment's
        keys into groups, without a host and without an error.
        """
        self.display.error(text, wrap_text=False)
        raise SystemExit(PARSER_ERROR)

    def _add(self, name: str, group: dict[str, Any]) -> None:
        self.inventory.add_group(name)
        for variable, value in group.get("vars", {}).items():
            self.inventory.set_variable(name, variable, value)
        for host, variables in group.get("hosts", {}).items():
            self.inventory.add_host(host, group=name)
            for variable, value in variables.items():
                self.inventory.set_variable(host, variable, value)
        for child, content in group.get("children", {}).items():
            self._add(child, content)
            self.inventory.add_child(name, child)


def looks_like_an_experiment(path: Path) -> bool:
    """Whether the file has the keys of an experiment at its top level."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return False
    return all(key.search(text) for key in EXPERIMENT_KEYS)
