#!/usr/bin/python
"""Start the Docker Engine of a lab host."""

from __future__ import annotations

DOCUMENTATION = r"""
module: fedsim_engine
short_description: Start an installed Docker Engine
description:
  - Starts the Engine with systemd if that runs, else with its init script, else as a detached process with a log file,
    and waits until it answers. Does nothing if one answers already.
author: fedsim-runner (@fedsim-runner)
extends_documentation_fragment:
  - fedsim.testbed.attributes
  - fedsim.testbed.docker
attributes:
  check_mode:
    support: full
    details: Nothing is started; the result says what would start it.
  diff_mode:
    support: none
    details: There is nothing to compare.
options:
  log:
    description: Log file of an Engine that is started as a detached process.
    type: path
    default: /var/log/dockerd.log
  wait_s:
    description: Seconds to wait for the Engine's answer.
    type: int
    default: 60
"""

EXAMPLES = r"""
- name: Start the Docker Engine
  fedsim.testbed.fedsim_engine:
"""

RETURN = r"""
started_with:
  description: What started it; empty if it was running already.
  returned: always
  type: str
  sample: systemd
"""

import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

from ansible_collections.fedsim.testbed.plugins.module_utils._docker import (
    EngineError,
    EngineSilentError,
    connect,
    find_daemon,
)
from ansible_collections.fedsim.testbed.plugins.module_utils._module import (
    DOCKER,
    Call,
    FailedError,
    Module,
    run_module,
)

ARGUMENTS: dict[str, Any] = {
    "log": {"type": "path", "default": "/var/log/dockerd.log"},
    "wait_s": {"type": "int", "default": 60},
    **DOCKER,
}
DEFAULTS = Path("/etc/default/docker")
INIT_SCRIPT = Path("/etc/init.d/docker")
SYSTEMD = Path("/run/systemd/system")
#: Debian's init script fails where it may not raise its limits, as in many containers and small virtual machines.
ULIMIT_WORKAROUND = 'ulimit() { command ulimit "$@" 2>/dev/null || true; }\n'


def find_service_manager(systemd: Path = SYSTEMD, init_script: Path = INIT_SCRIPT) -> str:
    """Return what starts services here; decided by the files that exist, not by the name of process 1."""
    if systemd.is_dir():
        return "systemd"
    if init_script.exists() and shutil.which("service"):
        return "init script"
    return "process"


def add_ulimit_workaround(defaults: Path = DEFAULTS) -> None:
    text = defaults.read_text() if defaults.exists() else ""
    if ULIMIT_WORKAROUND not in text:
        defaults.parent.mkdir(parents=True, exist_ok=True)
        defaults.write_text(f"{text}{ULIMIT_WORKAROUND}")


def start(call: Call, how: str) -> None:
    """Start the Engine; a service that does not start fails with its reason."""
    if how == "systemd":
        # Not enabled: the package does that, unless the owner has disabled it.
        done = run_service(call, ["systemctl", "start", "docker"])
        if done.returncode != 0:
            said = done.stderr.strip() or f"it ended with exit code {done.returncode}"
            raise FailedError(f"`systemctl start docker` failed: {said}", rc=done.returncode)
        return
    if how == "init script":
        add_ulimit_workaround()
        # Its exit status also reflects cgroup mounts, which do not matter: what counts is whether the Engine answers.
        run_service(call, ["service", "docker", "start"])
        return
    daemon = find_daemon()
    if daemon is None:
        raise FailedError("dockerd is not installed: install docker.io")
    with Path(call.params["log"]).open("ab") as log:
        subprocess.Popen([daemon], stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, cwd="/")


def run_service(call: Call, command: list[str]) -> subprocess.CompletedProcess[str]:
    """Run a command that starts the service; one that hangs fails. Docker's own unit has no time limit."""
    try:
        # Into a file: an Engine that an init script starts inherits the output, and would keep a pipe open.
        with tempfile.TemporaryFile("w+") as said:
            done = subprocess.run(command, stdout=said, stderr=said, text=True, timeout=call.params["wait_s"])
            said.seek(0)
            return subprocess.CompletedProcess(command, done.returncode, "", said.read())
    except subprocess.TimeoutExpired as error:
        raise FailedError(f"`{' '.join(command)}` has not ended in {call.params['wait_s']} s") from error


def find_error(docker_host: str) -> EngineError | None:
    """Return why the Engine cannot be used; None if it can."""
    try:
        connect(docker_host, timeout=5).close()
    except EngineError as error:
        return error
    return None


def work(call: Call) -> dict[str, Any]:
    host = call.params["docker_host"]
    error = find_error(host)
    if error is None:
        return {"changed": False, "started_with": ""}
    # One that is only silent is there, and a second one would do harm.
    how = "" if isinstance(error, EngineSilentError) else find_service_manager()
    if not call.check:
        if how:
            start(call, how)
        wait(host, call.params["wait_s"], f"was started ({how})" if how else "is there")
    return {"changed": bool(how), "started_with": how}


def wait(docker_host: str, seconds: float, state: str) -> None:
    """Wait until the Engine can be used."""
    deadline = time.monotonic() + seconds
    while (error := find_error(docker_host)) is not None:
        if time.monotonic() > deadline:
            raise FailedError(f"the Docker Engine {state} but does not answer: {error}")
        time.sleep(0.3)


MODULE = Module(ARGUMENTS, work)


def main() -> None:
    run_module(MODULE)


if __name__ == "__main__":
    main()
