"""Many devices on many lab hosts: from spec to inventory on disk, and a no-op play over it.

python -m benchmarks.planning [DEVICES [LAB_HOSTS]]; 2,000 devices on 4 lab hosts by default. With more than
20 lab hosts there is no play: it would need a connection for each.
"""

from __future__ import annotations

import io
import resource
import subprocess
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path

from rich.console import Console

from fedsim_runner.console.plan_view import render_plan
from fedsim_runner.inventory import build_inventory, write_inventory
from fedsim_runner.lab.host import LabHost
from fedsim_runner.runs.experiment_file import load_experiment
from fedsim_runner.runs.planning import make_plan_or_refuse

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
MOST_FOR_PLAYS = 20


def main() -> None:
    """Print the seconds of each step, and the most memory that this process has had."""
    devices = int(sys.argv[1]) if len(sys.argv) > 1 else 2000
    count = int(sys.argv[2]) if len(sys.argv) > 2 else LAB_HOSTS
    with tempfile.TemporaryDirectory(prefix="fedsim-bench-") as name:
        folder = Path(name)
        spec = write_light_mix(folder, devices)
        hosts = [
            LabHost(f"lab{n}", 64, 256 * 2**30, "amd64", lab_address=f"192.0.{2 + n // 256}.{n % 256}")
            for n in range(1, count + 1)
        ]
        marks = [(time.monotonic(), time.process_time())]

        def mark() -> None:
            marks.append((time.monotonic(), time.process_time()))

        experiment = load_experiment(spec)
        mark()
        plan = make_plan_or_refuse(experiment, hosts, "bench")
        mark()
        Console(file=io.StringIO()).print(render_plan(plan))
        mark()
        hosts_file = write_inventory(build_inventory(plan), folder / "inventory")
        mark()
        written = sum(path.stat().st_size for path in (folder / "inventory").rglob("*.*"))
        steps = ["spec", "plan", "printed plan", "inventory"]
        if count <= MOST_FOR_PLAYS:
            _play(folder, hosts_file)
            mark()
            steps.append("no-op play")
    took = [(now[0] - before[0], now[1] - before[1]) for before, now in pairwise(marks)]
    rows: list[tuple[object, ...]] = [(step, *one) for step, one in zip(steps, took, strict=True)]
    rows.append(("verb plan", *(sum(took[step][way] for step in (0, 1, 2)) for way in (0, 1))))
    rows.append(("verb inventory", *(sum(took[step][way] for step in (0, 1, 3)) for way in (0, 1))))
    title = f"{devices} devices on {count} lab hosts"
    print_table(title, ("step", "seconds", "cpu seconds"), rows)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(f"peak memory {peak / 1024:.0f} MiB, inventory {written / 2**20:.0f} MiB")


def _play(folder: Path, hosts_file: Path) -> None:
    playbook = folder / "noop.yml"
    playbook.write_text(NO_OP, encoding="utf-8")
    # The lab hosts of this benchmark do not exist: the play runs on this machine under their names.
    # Ansible from this interpreter's environment, activated or not.
    ansible = str(Path(sys.executable).with_name("ansible-playbook"))
    subprocess.run([ansible, "-i", str(hosts_file), "-c", "local", str(playbook)], check=True, capture_output=True)


if __name__ == "__main__":
    main()
