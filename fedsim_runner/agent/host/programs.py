"""Running ``tc`` and ``iptables``: in the calling thread's network namespace, with an error that names the command."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Sequence
from typing import Any

from fedsim_runner.contract.errors import Exit, FedsimError

TIMEOUT_S = 20.0


class CommandError(FedsimError):
    """A program refused; the text holds its arguments and what it said."""

    exit = Exit.LINKS


def run(arguments: Sequence[str], *, stdin: str | None = None) -> str:
    """Standard output of a program.

    Raises:
        CommandError: it is missing, failed, or took longer than 20 s.
    """
    try:
        done = subprocess.run(
            arguments, input=stdin, capture_output=True, text=True, timeout=TIMEOUT_S, check=False, close_fds=True
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise CommandError(f"{' '.join(arguments)}: {error}") from error
    if done.returncode != 0:
        raise CommandError(f"{' '.join(arguments)}: {(done.stderr or done.stdout).strip() or done.returncode}")
    return done.stdout


def read_qdiscs(interface: str | None = None) -> list[dict[str, Any]]:
    """Qdiscs of one interface or of all, as ``tc`` prints them in JSON with raw numbers."""
    arguments = ["tc", "-raw", "-json", "qdisc", "show"]
    if interface is not None:
        arguments += ["dev", interface]
    text = run(arguments).strip()
    loaded = json.loads(text) if text else []
    return [entry for entry in loaded if isinstance(entry, dict)]


def iptables_programs() -> list[str]:
    """The iptables variants installed here, the kernel's newer interface first."""
    return [name for name in ("iptables-nft", "iptables-legacy", "iptables") if shutil.which(name)]
