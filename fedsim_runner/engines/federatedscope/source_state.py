"""What doctor reports about FederatedScope: which source is in use, what named it, and whether it is available."""

from __future__ import annotations

import shutil
import time
from dataclasses import dataclass
from pathlib import Path

from fedsim_runner.user_folders import cache_dir

from .source import SettingsError, Source
from .source_in_use import resolve_source
from .wheel import CachedSource


@dataclass(frozen=True)
class SourceState:
    """``ok`` None: it may not be available, which only matters to devices with the engine federatedscope."""

    found: str
    state: str
    ok: bool | None
    hint: str = ""


def source_state(cache: Path | None = None) -> SourceState:
    """Check the source in use without a network: what is neither local nor cached is fetched when needed."""
    try:
        source = resolve_source()
    except SettingsError as error:
        return SourceState("not known", "the setting is wrong", None, str(error))
    found = f"{source.kind} {source.shown}, named by {source.origin}"
    problem = source.problem()
    if problem is not None:
        hint = f"{source.origin} names {source.shown}: {problem}; correct or remove it"
        return SourceState(found, problem, None, hint)
    return _availability(found, source, CachedSource(source, cache or cache_dir()))


def _availability(found: str, source: Source, cached: CachedSource) -> SourceState:
    if source.kind in ("checkout", "wheel"):
        return SourceState(found, "readable", True)
    record = cached.record() if cached.cached() is not None else {}
    if record:
        day = time.strftime("%Y-%m-%d", time.localtime(float(record.get("made", 0))))
        return SourceState(found, f"cached on {day}", True, "" if source.pinned else _explain_renewal(source, cached))
    if source.kind == "git" and shutil.which("git") is None:
        hint = "`apt-get install git`, or name a checkout or a wheel"
        return SourceState(found, "not cached, and git is not installed", None, hint)
    return SourceState(
        found,
        "not cached",
        None,
        "it is fetched when images of the engine federatedscope are first built; `fedsim-provision images --engine "
        "federatedscope` does that now. Without the internet name a checkout or a wheel: FEDSIM_FEDERATEDSCOPE_SOURCE, "
        "or federatedscope: {source: PATH} in the user configuration",
    )


def _explain_renewal(source: Source, cached: CachedSource) -> str:
    return (
        f"{source.shown} is not a fixed version, so it stays as it was on that day: name a whole commit or an exact "
        f"version, or remove {cached.folder} to fetch it again"
    )
