"""Playbooks about the lab rather than about a run: building all images, probing the lab host."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console

from fedsim_runner.console.progress import Progress
from fedsim_runner.contract.errors import Exit, FedsimError
from fedsim_runner.inventory import write_inventory
from fedsim_runner.lab.access import NO_KEYS, THIS_MACHINE
from fedsim_runner.lab.engine_client import engine_url
from fedsim_runner.lab.usable_hosts import list_lab_hosts
from fedsim_runner.user_folders import STATE_HINT, state_home

from ..run_listener import RunListener
from ..stages import exit_of, stage_named
from ..values import Listener, Stopped
from .playbook import PlaybookResult
from .playbook_session import LOG, PlaybookSession
from .privileges import check_privileges, root_command
from .run_inventory import bare_inventory, inventories
from .stages import STAGES

PROBE_TIMEOUT_S = 120


@dataclass(frozen=True)
class Images:
    """Images by reference, each with ``size`` and ``own`` (what its parent lacks) in bytes; ``disk``: the total."""

    images: Mapping[str, Mapping[str, Any]]
    disk: int


@dataclass(frozen=True)
class Findings:
    """What the lab host has, and what it lacks: each problem has ``what``, ``fix`` and ``fatal``.

    ``links`` is the result of the agent's probe; None where it could not run (``links_reason`` says why).
    """

    lab_host: Mapping[str, Any]
    problems: tuple[Mapping[str, Any], ...]
    links: Mapping[str, Any] | None
    links_reason: str | None


def build_images(console: Console, image_base: str | None, engines: Sequence[str] = ("light",)) -> Images:
    """Build all images of ``engines`` that are missing on this machine's Engine.

    Raises:
        FedsimError: the build failed, the Engine is not on this machine, or this user may not do it.
    """
    extra_vars: dict[str, Any] = {"fedsim_engines": list(engines)}
    if image_base:
        extra_vars["fedsim_image_base"] = image_base
    check_privileges(list_lab_hosts(), NO_KEYS)
    result = _play("images", "images.yml", console, extra_vars, "disk")
    if not result.results:
        raise FedsimError("the images were built but not measured", Exit.PROVISIONING)
    found = result.results[-1]
    return Images(found["images"], int(found["disk"]))


def examine(console: Console) -> Findings:
    """Probe by trial whether this machine can be a lab host, as root if possible; nothing is installed or left behind.

    Raises:
        FedsimError: the Engine is not on this machine, or Ansible could not run the probe.
    """
    probe = root_command([sys.executable, "-m", "fedsim_runner.agent", "probe"])
    extra_vars = {"fedsim_become": False} if probe is None else {}
    result = _play("doctor", "doctor.yml", console, extra_vars, "problems")
    if not result.results:
        raise FedsimError("the probe of the lab host gave no result", Exit.LAB)
    found = result.results[-1]
    links, reason = (None, "only root can try links: run doctor with sudo") if probe is None else _probe_links(probe)
    return Findings(found["lab_host"], tuple(found["problems"]), links, reason)


def _probe_links(command: list[str]) -> tuple[Mapping[str, Any] | None, str | None]:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=PROBE_TIMEOUT_S)
        answer = json.loads(done.stdout.strip().splitlines()[-1])
    except (OSError, subprocess.SubprocessError, ValueError, IndexError) as error:
        return None, f"the probe failed: {error}"
    return answer, None


def _play(name: str, playbook: str, console: Console, extra_vars: Mapping[str, Any], keep: str) -> PlaybookResult:
    folder, hosts = state_home() / "lab", list_lab_hosts()
    for host in hosts:
        engine_url(host.engine_url)  # refused by name before anything is done
    try:
        folder.mkdir(parents=True, exist_ok=True)
        hosts_file = write_inventory(bare_inventory(name, hosts), folder / f"{name}-inventory")
    except OSError as error:
        raise FedsimError(f"{folder}: {error.strerror}", Exit.LAB, hint=STATE_HINT) from error
    log = folder / LOG
    log.unlink(missing_ok=True)
    lab = inventories(hosts_file, THIS_MACHINE, hosts)
    with Progress(console, 0) as progress, RunListener(progress, "interrupted: stopping") as listener:

        def work(progress_listener: Listener) -> PlaybookResult:
            with PlaybookSession(name, folder, lab, progress_listener, extra_vars) as session:
                return session.run(playbook, keep=[keep])

        try:
            return listener.run(work)
        except Stopped as stopped:
            if stopped.failure is None:
                raise FedsimError("interrupted", Exit.INTERRUPTED) from stopped
            where = f"stage {stopped.failure.stage or name} failed"
            raise FedsimError(
                f"{where}: {stopped.failure.text} (Ansible's full output: {log})",
                exit_of(stage_named(STAGES, stopped.failure.stage), stopped.failure.exit_code),
            ) from stopped
