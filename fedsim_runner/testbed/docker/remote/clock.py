"""How far the clocks of lab hosts are apart, as far as ssh shows it: for the doctor, who warns; a run measures better.

Each exchange over one open session gives an offset that is at most half its round trip wrong, as in NTP (RFC 5905,
section 8). The fastest of several counts.
"""

from __future__ import annotations

import shlex
import statistics
import subprocess
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from fedsim_runner.lab.host import LabHost

from ..lab_engines import AT_ONCE
from .tunnel import ssh_options

EXCHANGES = 16
SESSION_S = 30
ANSWER = "import sys,time\nfor _ in sys.stdin:\n print(repr(time.time()),flush=True)"


@dataclass(frozen=True)
class Clock:
    """A lab host's clock against the median of the lab's. ``bound_s``: how far ``offset_s`` may be wrong."""

    offset_s: float
    bound_s: float


def clocks(hosts: Sequence[LabHost]) -> Mapping[str, Clock]:
    """The clocks of the lab hosts, by name, without those that did not answer."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        found = dict(zip((host.name for host in hosts), pool.map(_against_ours, hosts), strict=True))
    known = {name: clock for name, clock in found.items() if clock is not None}
    if not known:
        return {}
    middle = statistics.median(clock.offset_s for clock in known.values())
    return {name: Clock(clock.offset_s - middle, clock.bound_s) for name, clock in known.items()}


def _against_ours(host: LabHost) -> Clock | None:
    if host.ssh is None:
        return Clock(0.0, 0.0)
    command = host.ssh.command(ssh_options(host.ssh), shlex.join([host.ssh.interpreter, "-c", ANSWER]))
    with subprocess.Popen(
        command,
        text=True,
        start_new_session=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as session:
        assert session.stdin is not None and session.stdout is not None
        best: Clock | None = None
        end = time.monotonic() + SESSION_S
        try:
            for _ in range(EXCHANGES):
                asked = time.time()
                session.stdin.write("\n")
                session.stdin.flush()
                line = session.stdout.readline()
                answered = time.time()
                if not line or time.monotonic() > end:
                    break
                clock = Clock(float(line) - (asked + answered) / 2, (answered - asked) / 2)
                if best is None or clock.bound_s < best.bound_s:
                    best = clock
        except (OSError, ValueError):
            pass
        finally:
            session.kill()
        return best
