"""Playbooks about the lab rather than about a run: building all images, probing the lab hosts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console

from fedsim_runner.console.progress import Progress
from fedsim_runner.contract.errors import Exit, FedsimError
from fedsim_runner.inventory import write_inventory
from fedsim_runner.lab.access import LabAccess
from fedsim_runner.lab.engine_client import engine_url
from fedsim_runner.lab.host import LabHost
from fedsim_runner.user_folders import STATE_HINT, state_home

from ..run_listener import RunListener
from ..stages import exit_of, stage_named
from ..values import Listener, Stopped
from .ansible_log import AnsibleLog
from .playbook import Playbook, PlaybookResult, run_playbook
from .playbook_session import LOG
from .privileges import check_privileges
from .run_inventory import bare_inventory, inventories
from .stages import STAGES


@dataclass(frozen=True)
class Images:
    """Images of this build.

    Attributes:
        images: by reference, each with ``size`` and ``own`` (what its parent lacks) in bytes.
        disk: their total.
    """

    images: Mapping[str, Mapping[str, Any]]
    disk: int


def build_images(
    console: Console,
    image_base: str | None,
    engines: Sequence[str],
    hosts: Sequence[LabHost],
    access: LabAccess,
) -> Mapping[str, Images]:
    """Build all images of ``engines`` that the lab hosts lack; return those of each host, by its name.

    Raises:
        FedsimError: the build failed, this machine's Engine is elsewhere, or this user may not do it.
    """
    extra_vars: dict[str, Any] = {"fedsim_engines": list(engines)}
    if image_base:
        extra_vars["fedsim_image_base"] = image_base
    check_privileges(hosts, access.keys)
    result = play("images", "images.yml", console, extra_vars, ["disk"], hosts, access)
    if result.failure is not None:
        raise failed("images", result)
    if not result.by_host:
        raise FedsimError("the images were built but not measured", Exit.PROVISIONING)
    return {name: Images(found["images"], int(found["disk"])) for name, found in result.by_host.items()}


def play(
    name: str,
    playbook: str,
    console: Console,
    extra_vars: Mapping[str, Any],
    keep: Sequence[str],
    hosts: Sequence[LabHost],
    access: LabAccess,
) -> PlaybookResult:
    """Run a playbook on lab hosts, with its progress on the console; it may fail on some of them.

    Raises:
        FedsimError: it was interrupted, there is no place for its files, or this machine's Engine is elsewhere.
    """
    folder = state_home() / "lab"
    for host in hosts:
        if host.ssh is None:
            engine_url(host.engine_url)  # refused by name before anything is done
    try:
        folder.mkdir(parents=True, exist_ok=True)
        hosts_file = write_inventory(bare_inventory(name, hosts), folder / f"{name}-inventory")
    except OSError as error:
        raise FedsimError(f"{folder}: {error.strerror}", Exit.LAB, hint=STATE_HINT) from error
    (folder / LOG).unlink(missing_ok=True)
    lab = inventories(hosts_file, access, hosts)
    limit = lab.hosts if len(lab.files) > 1 else ()
    values = {"fedsim_run_dir": str(folder), "fedsim_run": name, **extra_vars}
    call = Playbook(playbook, lab.files, name, lab.hosts, values, keep, limit, lab.keys, lab.way)
    with Progress(console, 0) as progress, RunListener(progress, "interrupted: stopping") as listener:
        try:
            return listener.run(_work(call, AnsibleLog(folder / LOG)))
        except Stopped as stopped:
            raise FedsimError("interrupted", Exit.INTERRUPTED) from stopped


def _work(call: Playbook, log: AnsibleLog) -> Callable[[Listener], PlaybookResult]:
    def work(listener: Listener) -> PlaybookResult:
        try:
            result = run_playbook(call, log, listener)
        finally:
            log.close()
        if result.status == "canceled":
            raise Stopped(result.stage)
        return result

    return work


def failed(name: str, result: PlaybookResult) -> FedsimError:
    """The error of a playbook that was of no use."""
    assert result.failure is not None
    where = f"stage {result.failure.stage or name} failed"
    host = f" on {result.failure.host}" if result.failure.host else ""
    return FedsimError(
        f"{where}{host}: {result.failure.text} (Ansible's full output: {state_home() / 'lab' / LOG})",
        exit_of(stage_named(STAGES, result.failure.stage), result.failure.exit_code),
    )
