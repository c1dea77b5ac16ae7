"""Probing by trial what lab hosts have; nothing is installed or left behind."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from fedsim_runner.content import PACKAGE_DIR
from fedsim_runner.lab.access import THIS_MACHINE, LabAccess
from fedsim_runner.lab.host import LabHost
from fedsim_runner.lab.usable_hosts import list_lab_hosts
from fedsim_runner.temporary_folders import temporary_folder

from .lab_playbooks import failed, play
from .privileges import root_command
from .remote.clock import Clock, clocks

PROBE_TIMEOUT_S = 120
# What the agent's probe is made of: it runs on a lab host that has nothing of ours.
AGENT_PARTS = ("__init__.py", "agent", "contract")
START_PROBE = "import sys\nfrom fedsim_runner.agent.cli import main\nsys.exit(main(['probe']))\n"


@dataclass(frozen=True)
class Findings:
    """What a lab host has, and what it lacks: each problem has ``what``, ``fix`` and ``fatal``.

    Attributes:
        links: the result of the agent's probe; None where it could not run (``links_reason`` says why).
        clock: against the lab's others; None: unknown, or there are none.
    """

    lab_host: Mapping[str, Any]
    problems: tuple[Mapping[str, Any], ...]
    links: Mapping[str, Any] | None
    links_reason: str | None
    clock: Clock | None = None


def examine(console: Console) -> Findings:
    """Probe whether this machine can be a lab host, as root if possible.

    Raises:
        FedsimError: the Engine is not on this machine, or Ansible could not run the probe.
    """
    probe = root_command([sys.executable, "-m", "fedsim_runner.agent", "probe"])
    extra_vars = {"fedsim_become": False} if probe is None else {}
    result = play("doctor", "doctor.yml", console, extra_vars, ["problems"], list_lab_hosts(), THIS_MACHINE)
    if result.failure is not None:
        raise failed("doctor", result)
    found = next(iter(result.by_host.values()))
    links, reason = (None, "only root can try links: run doctor with sudo") if probe is None else _probe_links(probe)
    return Findings(found["lab_host"], tuple(found["problems"]), links, reason)


def examine_lab(console: Console, hosts: Sequence[LabHost], access: LabAccess) -> Mapping[str, Findings | str]:
    """Probe all hosts of a lab at once. Return what was found, or why nothing was, by host."""
    with temporary_folder() as place:
        extra_vars = {"fedsim_probe_archive": str(_pack_probe(place / "fedsim-probe.pyz"))}
        result = play("doctor", "doctor.yml", console, extra_vars, ["problems", "stdout"], hosts, access)
    there = [host for host in hosts if "problems" in result.by_host.get(host.name, {})]
    found_clocks = clocks(there) if len(there) > 1 else {}
    examined: dict[str, Findings | str] = {}
    for host in hosts:
        found = result.by_host.get(host.name, {})
        if host not in there:
            examined[host.name] = result.why(host.name)
            continue
        links, reason = _read_probe(found.get("stdout"), str(found.get("stderr") or ""))
        examined[host.name] = Findings(
            found["lab_host"], tuple(found["problems"]), links, reason, found_clocks.get(host.name)
        )
    return examined


def _pack_probe(path: Path) -> Path:
    """The agent's probe as one file that Python runs (zipapp)."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("__main__.py", START_PROBE)
        for part in AGENT_PARTS:
            # A link leads to the contract.
            root = (PACKAGE_DIR / part).resolve()
            for file in [root] if root.is_file() else sorted(root.rglob("*.py")):
                inside = Path(part) if root.is_file() else Path(part) / file.relative_to(root)
                archive.write(file, Path("fedsim_runner") / inside)
    return path


def _probe_links(command: list[str]) -> tuple[Mapping[str, Any] | None, str | None]:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=PROBE_TIMEOUT_S)
    except (OSError, subprocess.SubprocessError) as error:
        return None, f"the probe failed: {error}"
    return _read_probe(done.stdout, done.stderr)


def _read_probe(output: str | None, errors: str) -> tuple[Mapping[str, Any] | None, str | None]:
    if output is None:
        return None, "the probe did not run"
    try:
        found: Mapping[str, Any] = json.loads(output.strip().splitlines()[-1])
    except (ValueError, IndexError):
        return None, f"the probe failed: {(errors.strip().splitlines() or ['no output'])[-1]}"
    return found, None
