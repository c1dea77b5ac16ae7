"""How the links of network profiles vary: their traces are read, and their states looked up."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final, Literal

from ...catalog.entries import ProfileEntry, TraceEntry
from ...catalog.resolve import unknown_name
from ...catalog.types import NetworkProfile, Varying
from ...contract.link_variation import LinkState, Track
from ...yamlfile.document import Document
from ...yamlfile.spec_errors import PathPart, SpecError
from ..text_table import take_mistakes
from .files import TraceFile, read_trace_file
from .means import mean_links

Profiles = Mapping[str, NetworkProfile | None]
_SAYS_NOTHING: Final = {"description", "source", "based_on"}


class Variations:
    """Reads each trace once.

    Args:
        document: the experiment file, in which mistakes are reported.
        folder: where relative paths start.

    Attributes:
        tracks: those of all traces so far, by name.
    """

    def __init__(self, document: Document, folder: Path) -> None:
        self._document = document
        self._folder = folder
        self._files: dict[Path, TraceFile | None] = {}
        self._varying_names: set[str] = set()
        self.tracks: dict[str, Track] = {}

    def add_to_all(
        self, profiles: Profiles, entries: Mapping[str, ProfileEntry], at: Mapping[str, tuple[PathPart, ...]]
    ) -> Profiles:
        """The profiles with how their links vary.

        Args:
            profiles: resolved; None: wrong, and already reported.
            entries: of those that the experiment file defines.
            at: where each of these is in the file.
        """
        for name in entries:
            seen = {name}
            one: ProfileEntry | None = entries[name]
            while one is not None and one.trace is None and one.states is None:
                base = one.based_on
                one = None if base is None or base in seen else entries.get(base)
                seen.add(str(base))
            if one is not None:
                self._varying_names.add(name)
        found = dict(profiles)

        def add(name: str) -> None:
            profile, base = profiles[name], entries[name].based_on
            if name in done or profile is None:
                return
            done.add(name)
            if base is not None and base != name and base in entries:
                add(base)
            found[name] = self.add_to(profile, entries[name], at[name], found)

        done: set[str] = set()
        for name in entries:
            add(name)
        return found

    def add_to(
        self, profile: NetworkProfile, entry: ProfileEntry, at: tuple[PathPart, ...], profiles: Profiles
    ) -> NetworkProfile | None:
        """The profile with what its entry says of how its link varies, or else its base; None: that is wrong.

        Args:
            profile: with the entry's values, and those of its base.
            entry: as written.
            at: where it is in the experiment file.
            profiles: all that have a name.
        """
        base = profiles.get(entry.based_on) if entry.based_on is not None else None
        inherited = base.varying if base is not None else None
        planned = profile.links
        if inherited is not None and inherited.states:
            given = entry.model_dump(exclude_none=True, exclude=_SAYS_NOTHING)
            for key in given:
                message = f"{entry.based_on} moves between states, which have all its values"
                self._document.report((*at, key), message, "remove it, or base this on another profile")
            return None if given else replace(profile, varying=inherited)
        if entry.states is not None:
            states = self._read_states(entry, at, profiles)
            return None if states is None else replace(profile, varying=Varying(planned=planned, states=states))
        if entry.trace is None:
            return profile if inherited is None else replace(profile, varying=replace(inherited, planned=planned))
        trace = TraceEntry(file=entry.trace) if isinstance(entry.trace, str) else entry.trace
        up, down = self._read_trace(trace, at, isinstance(entry.trace, str))
        if up is None and down is None:
            return None
        offset_s = None if trace.offset == "random" else float(trace.offset)
        length_s = max(self.tracks[name].length_ms for name in (up, down) if name is not None) / 1000
        if offset_s is not None and not trace.loop and offset_s >= length_s:
            self._document.report(
                (*at, "trace", "offset"),
                f"after the end of the trace, which takes {length_s:g} s and does not begin again",
                "loop: true has it begin again",
            )
            return None
        return replace(profile, varying=Varying(planned=planned, up=up, down=down, loop=trace.loop, offset_s=offset_s))

    def settle(self, profile: NetworkProfile) -> NetworkProfile:
        """The profile of a device: of a link that varies, the values are its means."""
        if profile.varying is None:
            return profile
        means = mean_links(profile.varying, self.tracks)
        return replace(profile, up=means.up, down=means.down)

    def _read_states(
        self, entry: ProfileEntry, at: tuple[PathPart, ...], profiles: Profiles
    ) -> tuple[LinkState, ...] | None:
        states = []
        dwell_s = entry.dwell_s or {}
        for name, kind in (entry.states or {}).items():
            where = (*at, "states", name)
            if kind not in profiles:
                problem = unknown_name((), "network profile", kind, list(profiles))
                self._document.report(where, problem.message, problem.hint)
                continue
            profile = profiles[kind]
            if kind in self._varying_names:
                self._document.report(where, f"{kind} varies itself", "a state is a profile that does not")
            elif profile is not None and name in dwell_s:
                states.append(LinkState(name, profile.links, float(dwell_s[name])))
        return tuple(states) if len(states) == len(entry.states or {}) else None

    def _read_trace(self, trace: TraceEntry, at: tuple[PathPart, ...], is_bare: bool) -> tuple[str | None, str | None]:
        """The names of the tracks up and down; both None: something is wrong, which is reported."""
        here = (*at, "trace")
        ways = {way: name for way in ("up", "down") if (name := getattr(trace, way)) is not None}
        if (trace.file is None) == (not ways):
            message = "names no file" if trace.file is None else "names file, and up or down as well"
            self._document.report(here, message, "give file, or up and down with a Mahimahi trace each")
            return None, None
        if trace.file is not None:
            found = self._read_file(trace.file, here if is_bare else (*here, "file"))
            if found is None:
                return None, None
            return self._track(found, "up"), self._track(found, "down")
        names: dict[str, str] = {}
        for way, path in ways.items():
            one = self._read_file(path, (*here, way))
            if one is not None and one.kind == "csv":
                self._document.report((*here, way), f"{path} is a CSV trace, for both directions", "name it as file")
            elif one is not None:
                names[way] = self._track(one, "up")
        return (names.get("up"), names.get("down")) if len(names) == len(ways) else (None, None)

    def _track(self, file: TraceFile, way: Literal["up", "down"]) -> str:
        name = file.name if file.up == file.down else f"{file.name}-{way}"
        self.tracks[name] = getattr(file, way)
        return name

    def _read_file(self, name: str, at: tuple[PathPart, ...]) -> TraceFile | None:
        try:
            path = self._folder / Path(name).expanduser()
        except RuntimeError:
            self._document.report(at, f"{name}: there is no such user here")
            return None
        if path not in self._files:
            try:
                mistakes: list[SpecError] = []
                self._files[path] = read_trace_file(path, mistakes)
                take_mistakes(mistakes, name, at, self._document)
            except (OSError, ValueError) as error:
                reason = error.strerror if isinstance(error, OSError) else str(error)
                self._document.report(at, f"{name}: {reason}", "paths start at this file's folder")
                return None
        return self._files[path]
