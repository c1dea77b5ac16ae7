"""2,000 devices: from spec to inventory on disk, and a no-op play over it.

python -m benchmarks.planning [N]
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

from fedsim_runner.inventory import build_inventory, write_inventory
from fedsim_runner.lab.host import LabHost
from fedsim_runner.plan.placement import make_plan
from fedsim_runner.runs.experiment_file import load_experiment

from .light_mix import write_light_mix
from .tables import print_table

NO_OP = """\
- name: No-op
  hosts: lab_hosts
  gather_facts: false
  tasks:
    - name: Nothing
      ansible.builtin.meta: noop
"""
LAB_HOSTS = 4


def main() -> None:
    """Print the seconds of each step."""
    devices = int(sys.argv[1]) if len(sys.argv) > 1 else 2000
    with tempfile.TemporaryDirectory(prefix="fedsim-bench-") as name:
        folder = Path(name)
        spec = write_light_mix(folder, devices)
        hosts = [LabHost(f"lab{n}", 64, 256 * 2**30, "amd64") for n in range(1, LAB_HOSTS + 1)]
        marks = [time.monotonic()]
        experiment = load_experiment(spec)
        marks.append(time.monotonic())
        plan = make_plan(experiment, hosts, "bench")
        marks.append(time.monotonic())
        hosts_file = write_inventory(build_inventory(plan), folder / "inventory")
        marks.append(time.monotonic())
        playbook = folder / "noop.yml"
        playbook.write_text(NO_OP, encoding="utf-8")
        # The lab hosts of this benchmark do not exist: the play runs on this machine under their names.
        # Ansible from this interpreter's environment, activated or not.
        ansible = str(Path(sys.executable).with_name("ansible-playbook"))
        subprocess.run([ansible, "-i", str(hosts_file), "-c", "local", str(playbook)], check=True, capture_output=True)
        marks.append(time.monotonic())
    steps = ("spec", "plan", "inventory", "no-op play")
    rows: list[tuple[object, ...]] = [(step, marks[n + 1] - marks[n]) for n, step in enumerate(steps)]
    rows.append(("spec to inventory", marks[3] - marks[0]))
    print_table(f"{devices} devices on {LAB_HOSTS} lab hosts, seconds", ("step", "seconds"), rows)


if __name__ == "__main__":
    main()
