"""What this kernel can shape links with, found by trying it in a scratch network namespace.

Kernel configuration is never read: modules load on demand, vendors' kernels hide it, and a symbol says nothing about
rights. ``tc qdisc add`` makes the kernel load a module on its own; ``modprobe`` is tried if that did not help.
"""

from __future__ import annotations

import platform
import shutil
from typing import Any

from ..host import programs
from ..kernel import netns
from .backends import FULL_LINK, all_needs, load_all
from .need import Need
from .protocol import LinkBackend


def probe() -> dict[str, Any]:
    """Try every piece that a back end may need.

    Returns:
        For each piece whether it is there, and details that its trial found; ``backend`` (the one that ``auto`` takes
        for a link with every property), ``missing`` (what and fix), ``kernel``.
    """
    kernel = platform.release()
    needs = all_needs()
    found: dict[str, Any] = {need.piece: False for need in needs}
    found |= {need.detail: None for need in needs if need.detail is not None}
    reasons: dict[str, str] = {}
    try:
        with netns.scratch():
            programs.run(["ip", "link", "set", "lo", "up"])
            for need in needs:
                _try(need, found, reasons)
    except (OSError, programs.CommandError) as error:
        reasons["namespace"] = str(error)
    backend = next((b for b in load_all() if all(found[need.piece] for need in b.needs([FULL_LINK]))), None)
    missing = [
        {
            "what": need.piece,
            "fix": f"{_fix(need, kernel)} [{reasons.get(need.piece, reasons.get('namespace', ''))}]",
            "instead": _instead(owner, backend),
        }
        for need, owner in needs.items()
        if not found[need.piece]
    ]
    if "namespace" in reasons:
        missing.insert(
            0, {"what": "rights", "fix": f"run as root with NET_ADMIN and SYS_ADMIN [{reasons['namespace']}]"}
        )
    return {**found, "backend": backend.name if backend is not None else None, "missing": missing, "kernel": kernel}


def _try(need: Need, found: dict[str, Any], reasons: dict[str, str]) -> None:
    for load_first in (False, True):
        if load_first:
            if not shutil.which("modprobe"):
                return
            try:
                programs.run(["modprobe", need.module])
            except programs.CommandError:
                return  # the trial's own error says more than modprobe's
        try:
            detail = need.trial()
        except (OSError, programs.CommandError) as error:
            reasons[need.piece] = str(error).replace("\n", "; ")
        else:
            found[need.piece] = True
            if need.detail is not None:
                found[need.detail] = detail
            return


def _instead(owner: type[LinkBackend], chosen: type[LinkBackend] | None) -> str:
    """What ordinary links have in place of a back end that lacks something; empty: nothing."""
    if chosen is None or owner.preference >= chosen.preference:
        return ""
    return f"not needed: the {chosen.name} back end holds delay, jitter and loss. For {owner.name}: "


def _fix(need: Need, kernel: str) -> str:
    lower = kernel.lower()
    if "microsoft" in lower:
        return f"WSL2 needs kernel 6.6 or newer (`wsl --update`), then `modprobe {need.module}`"
    if "linuxkit" in lower:
        return "update Docker Desktop: its virtual machine's kernel decides, no package here can add it"
    return need.hint() or f"`modprobe {need.module}` on the lab host; if that is not found, a kernel built with it"
