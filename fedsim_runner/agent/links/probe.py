"""What this kernel can shape with, found by trying it in a scratch network namespace.

Kernel configuration is never read: modules load on demand, vendors' kernels hide it, and a symbol says nothing about
rights. ``tc qdisc add`` asks the kernel to load a module by itself; ``modprobe`` is tried where that did not help.
"""

from __future__ import annotations

import contextlib
import platform
import shutil
import socket
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from ..host import programs
from . import netns
from .userspace import nfqueue

_TRIAL_QUEUE = 7
_MODULES = {"netem": "sch_netem", "tbf": "sch_tbf", "nfqueue": "nfnetlink_queue"}


def probe() -> dict[str, Any]:
    """Try netem, tbf and NFQUEUE; also which iptables variant holds a queue rule.

    Returns:
        ``netem``, ``tbf``, ``nfqueue`` (bool), ``iptables`` (program or None), ``backend`` (that ``auto`` would take
        for a link with everything), ``missing`` (what and fix), ``kernel``.
    """
    kernel = platform.release()
    found: dict[str, Any] = {"netem": False, "tbf": False, "nfqueue": False, "iptables": None}
    reasons: dict[str, str] = {}
    try:
        with netns.scratch():
            programs.run(["ip", "link", "set", "lo", "up"])
            found["netem"] = _try("netem", reasons, lambda: _qdisc("netem", "delay", "1ms", "limit", "10"))
            found["tbf"] = _try("tbf", reasons, lambda: _qdisc("tbf", "rate", "1mbit", "burst", "5kb", "limit", "10kb"))
            for program in programs.iptables_programs() or ["iptables"]:
                if _try("nfqueue", reasons, partial(_queue, program)):
                    found["nfqueue"], found["iptables"] = True, program
                    break
    except (OSError, programs.CommandError) as error:
        reasons["namespace"] = str(error)
    backend = "netem" if found["netem"] else "userspace" if found["tbf"] and found["nfqueue"] else None
    missing = [
        {"what": piece, "fix": f"{_fix(piece, kernel, backend)} [{reasons.get(piece, reasons.get('namespace', ''))}]"}
        for piece in ("netem", "tbf", "nfqueue")
        if not found[piece]
    ]
    if "namespace" in reasons:
        missing.insert(
            0, {"what": "rights", "fix": f"run as root with NET_ADMIN and SYS_ADMIN [{reasons['namespace']}]"}
        )
    return {**found, "backend": backend, "missing": missing, "kernel": kernel}


def _try(piece: str, reasons: dict[str, str], trial: Callable[[], None]) -> bool:
    for load_first in (False, True):
        if load_first:
            if not shutil.which("modprobe"):
                return False
            try:
                programs.run(["modprobe", _MODULES[piece]])
            except programs.CommandError:
                return False  # the trial's own error says more than modprobe's
        try:
            trial()
        except (OSError, programs.CommandError) as error:
            reasons[piece] = str(error).replace("\n", "; ")
        else:
            return True
    return False


def _qdisc(kind: str, *arguments: str) -> None:
    programs.run(["tc", "qdisc", "replace", "dev", "lo", "root", kind, *arguments])
    active = [entry.get("kind") for entry in programs.read_qdiscs("lo")]
    programs.run(["tc", "qdisc", "del", "dev", "lo", "root"])
    if kind not in active:
        raise OSError(f"the kernel took a {kind} qdisc but shows {active}")


def _queue(iptables: str) -> None:
    """Send a packet through a queue and let it pass."""
    rule = ["PREROUTING", "-i", "lo", "-j", "NFQUEUE", "--queue-num", str(_TRIAL_QUEUE)]
    programs.run([iptables, "-w", "5", "-t", "mangle", "-A", *rule])
    try:
        with (
            contextlib.closing(nfqueue.open_queue(_TRIAL_QUEUE, 16, False)) as queue,
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver,
        ):
            receiver.bind(("127.0.0.1", 0))
            receiver.settimeout(2)
            receiver.sendto(b"fedsim", receiver.getsockname())
            queue.settimeout(2)
            packet = nfqueue.parse_packet(queue.recv(4096))
            if packet is None or packet[1] != socket.inet_aton("127.0.0.1"):
                raise OSError("NFQUEUE does not show a packet's source")
            queue.send(nfqueue.verdict(_TRIAL_QUEUE, packet[0], nfqueue.ACCEPT))
            receiver.recv(16)
    finally:
        programs.run([iptables, "-w", "5", "-t", "mangle", "-D", *rule])


def _fix(piece: str, kernel: str, backend: str | None) -> str:
    lower = kernel.lower()
    if piece == "netem" and backend == "userspace":
        start = "not needed: the userspace back end holds delay, jitter and loss. For netem: "
    else:
        start = ""
    if "microsoft" in lower:
        return start + "WSL2 needs kernel 6.6 or newer (`wsl --update`), then `modprobe " + _MODULES[piece] + "`"
    if "linuxkit" in lower:
        return start + "update Docker Desktop: its virtual machine's kernel decides, no package here can add it"
    if Path("/etc/debian_version").exists() and piece == "nfqueue" and not programs.iptables_programs():
        return start + "apt-get install iptables"
    return start + f"`modprobe {_MODULES[piece]}` on the lab host; if that is not found, a kernel built with it"
