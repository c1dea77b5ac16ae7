"""Trying what the network of a run needs of a lab host's kernel, in namespaces that end with the trial."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence

#: Where the programs may be; a module's PATH often lacks sbin.
PROGRAM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
#: Kinds of interfaces, which are also the names of their kernel modules.
KINDS = ("bridge", "veth")

TIMEOUT_S = 20


def find_missing(prefix: Sequence[str] = ()) -> list[tuple[str, str]]:
    """Return what is missing, each with its fix; empty if nothing is, or the programs for the trial are not here.

    ``prefix`` are the words before each command, for one that runs it with fewer rights.
    """
    unshare, ip = (shutil.which(program, path=PROGRAM_PATH) for program in ("unshare", "ip"))
    if unshare is None:
        return []
    alone = [*prefix, unshare, "--net"]
    if reason := _try([*alone, "true"]):
        fix = "`sysctl -w user.max_net_namespaces=10000`, or a kernel with CONFIG_NET_NS; in a container: privileged"
        return [(f"no network namespace can be made ({reason})", fix)]
    if ip is None:
        return []
    found = ((kind, _try([*alone, ip, "link", "add", "fsim0", "type", kind])) for kind in KINDS)
    return [
        (f"the kernel makes no {kind} interface ({reason})", f"`modprobe {kind}`, or a kernel built with it")
        for kind, reason in found
        if reason
    ]


def _try(command: Sequence[str]) -> str:
    """Run a command; return the reason of its failure, or nothing."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    said = done.stderr.strip().replace("\n", "; ")
    return "" if done.returncode == 0 else said or f"exit status {done.returncode}"
