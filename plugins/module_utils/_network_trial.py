"""Trying what the network of a run needs of a lab host's kernel, in namespaces that end with the trial."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
from collections.abc import Sequence

from ansible_collections.fedsim.testbed.plugins.module_utils._packet_trial import try_packet

#: Where the programs may be; a module's PATH often lacks sbin.
PROGRAM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
#: Kinds of interfaces, which are also the names of their kernel modules.
KINDS = ("bridge", "veth")

TIMEOUT_S = 20
#: What helps where all can be made and still nothing passes.
LET_PASS = (
    "no firewall of the lab host applies to these namespaces, so what stops it is in the kernel (an eBPF program, a "
    "security module): try another kernel, or report it with the output of `fedsim-provision doctor --json`"
)

#: What helps where this process may open no more files.
RAISE_FILES = "raise this user's limit of open files: `ulimit -n 1024`, or nofile in /etc/security/limits.conf"


def find_missing(prefix: Sequence[str] = ()) -> list[tuple[str, str]]:
    """Return what is missing, each with its fix; empty if nothing is, or the programs for the trial are not here.

    ``prefix`` are the words before each command, for one that runs it with fewer rights.
    """
    unshare, ip = (shutil.which(program, path=PROGRAM_PATH) for program in ("unshare", "ip"))
    packet = None if ip is None or prefix else try_packet(ip)
    if packet == "" or unshare is None:
        return []
    # Something is missing: which piece is it?
    alone = [*prefix, unshare, "--net"]
    if reason := _try([*alone, "true"]):
        fix = "`sysctl -w user.max_net_namespaces=10000`, or a kernel with CONFIG_NET_NS; in a container: privileged"
        return [(f"no network namespace can be made ({reason})", fix)]
    if ip is None:
        return []
    found = ((kind, _try([*alone, ip, "link", "add", "fsim0", "type", kind])) for kind in KINDS)
    missing = [
        (f"the kernel makes no {kind} interface ({reason})", f"`modprobe {kind}`, or a kernel built with it")
        for kind, reason in found
        if reason
    ]
    if not missing and packet:
        fix = RAISE_FILES if os.strerror(errno.EMFILE) in packet else LET_PASS
        missing.append((f"no packet passes between two namespaces connected as devices are ({packet})", fix))
    return missing


def has_wireguard() -> bool | None:
    """Return whether the kernel makes a WireGuard interface, which encryption needs; None: it could not be tried."""
    unshare, ip = (shutil.which(program, path=PROGRAM_PATH) for program in ("unshare", "ip"))
    if unshare is None or ip is None or _try([unshare, "--net", "true"]):
        return None
    return not _try([unshare, "--net", ip, "link", "add", "fsim0", "type", "wireguard"])


def _try(command: Sequence[str]) -> str:
    """Run a command; return the reason of its failure, or nothing."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    said = done.stderr.strip().replace("\n", "; ")
    return "" if done.returncode == 0 else said or f"exit status {done.returncode}"
