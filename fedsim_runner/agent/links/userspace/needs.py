"""What the userspace back end needs from the kernel."""

from __future__ import annotations

import contextlib
import socket
from functools import partial
from pathlib import Path

from fedsim_runner.agent.host import programs

from ...kernel.root_qdisc import try_qdisc
from ..need import Need
from . import nfqueue
from .queue_rule import iptables_programs

_TRIAL_QUEUE = 7


def _try_any_iptables() -> str:
    last: programs.CommandError | OSError | None = None
    for program in iptables_programs() or ["iptables"]:
        try:
            _try_queue(program)
        except (OSError, programs.CommandError) as error:
            last = error
        else:
            return program
    assert last is not None
    raise last


def _try_queue(iptables: str) -> None:
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
            packet = nfqueue.Parser().parse(queue.recv(4096))
            if packet is None or packet[1] != socket.inet_aton("127.0.0.1"):
                raise OSError("NFQUEUE does not show a packet's source")
            queue.send(nfqueue.verdict(_TRIAL_QUEUE, packet[0], nfqueue.ACCEPT))
            receiver.recv(16)
    finally:
        programs.run([iptables, "-w", "5", "-t", "mangle", "-D", *rule])


def _iptables_hint() -> str | None:
    debian = Path("/etc/debian_version").exists()
    return "apt-get install iptables" if debian and not iptables_programs() else None


TBF = Need(
    "tbf",
    "tbf",
    "protection from floods",
    "sch_tbf",
    partial(try_qdisc, "tbf", "rate", "1mbit", "burst", "5kb", "limit", "10kb"),
)
NFQUEUE = Need(
    "nfqueue",
    "NFQUEUE",
    "rate, delay, jitter and loss",
    "nfnetlink_queue",
    _try_any_iptables,
    detail="iptables",
    hint=_iptables_hint,
)
