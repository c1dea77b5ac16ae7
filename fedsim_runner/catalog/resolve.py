"""Turning entries into the program's values: units are converted, bases applied and contradictions reported.

Problems are returned, not raised: the reader of an experiment file shows all of them together, with their lines.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Literal, TypeVar

from ..contract.link import Link
from .energy import resolve_energy
from .entries import DeviceTypeEntry, DirectionEntry, LimitsEntry, ProfileEntry
from .link_models import NO_JITTER, NO_RATE, check_queue, merge_queue, read_distribution, resolve_losses
from .name_rules import as_device_name, explain_wrong_kind
from .problem import Problem
from .suggestions import suggestion
from .types import DeviceType, NetworkProfile

KILO = 1_000
MEMORY_MB = 2**20
IO_MB = 10**6
DEFAULT_PIDS = 256
BASE_CHAIN_MAX = 32
# Of a name that there is not: longer ones than names can be are cut.
NAMED_LETTERS = 60

EntryT = TypeVar("EntryT", ProfileEntry, DeviceTypeEntry)
ValueT = TypeVar("ValueT", NetworkProfile, DeviceType)


def resolve_profile(
    name: str, entry: ProfileEntry, base: NetworkProfile | None = None, *, folder: Path | None = None
) -> tuple[NetworkProfile, list[Problem]]:
    """Build the profile that an entry describes on top of its base; ``name`` is the result's name.

    Relative paths start at ``folder``.
    """
    problems: list[Problem] = []
    given = entry.model_dump(exclude_none=True, exclude={"description", "source"})
    problems += _check_states(given)
    if not given:
        problems.append(Problem((), "says nothing about the link", "give at least one rate, latency or loss"))
    up = _resolve_link("up", entry, base.up if base else Link(), folder, problems)
    down = _resolve_link("down", entry, base.down if base else Link(), folder, problems)
    if entry.queue is not None and up.rate_bps is None and down.rate_bps is None:
        problems.append(Problem(("queue",), NO_RATE, "add bandwidth_up_kbps or bandwidth_down_kbps"))
    if entry.jitter_distribution is not None and not up.jitter_us and not down.jitter_us:
        problems.append(Problem(("jitter_distribution",), NO_JITTER, "add jitter_ms"))
    # A contradiction among the common values shows in both directions but counts once.
    return NetworkProfile(name, up, down), list(dict.fromkeys(problems))


def _check_states(given: Mapping[str, object]) -> list[Problem]:
    """Report states beside what they take the place of, and those without a mean stay."""
    if "states" not in given:
        return [Problem(("dwell_s",), "is for states", "add states, or remove it")] if "dwell_s" in given else []
    others = [key for key in given if key not in ("states", "dwell_s")]
    problems = [
        Problem((key,), "the link moves between states, which have all its values", "remove it") for key in others
    ]
    states, dwell = given["states"], given.get("dwell_s")
    assert isinstance(states, Mapping)
    if len(states) < 2:
        problems.append(Problem(("states",), "a link moves between at least two states", "add another"))
    if not isinstance(dwell, Mapping):
        example = ", ".join(f"{name}: 30" for name in states)
        return [*problems, Problem((), 'missing key "dwell_s"', f"for example dwell_s: {{{example}}}")]
    for name in states:
        if name not in dwell:
            problems.append(Problem(("dwell_s",), f'no time for state "{name}"', f"add {name}: and its seconds"))
    for name in dwell:
        if name not in states:
            problems.append(Problem(("dwell_s", name), f'there is no state "{name}"', suggestion(name, list(states))))
    return problems


def _resolve_link(
    direction: Literal["up", "down"], entry: ProfileEntry, base: Link, folder: Path | None, problems: list[Problem]
) -> Link:
    own = (entry.up if direction == "up" else entry.down) or DirectionEntry()
    common_rate = entry.bandwidth_up_kbps if direction == "up" else entry.bandwidth_down_kbps
    if common_rate is not None and own.bandwidth_kbps is not None:
        problems.append(
            Problem(
                (direction, "bandwidth_kbps"),
                f"the rate of this direction is given twice, here and as bandwidth_{direction}_kbps",
                "remove one of them",
            )
        )
    rate_kbps = own.bandwidth_kbps if own.bandwidth_kbps is not None else common_rate
    delay_ms = own.latency_ms if own.latency_ms is not None else entry.latency_ms
    jitter_ms = own.jitter_ms if own.jitter_ms is not None else entry.jitter_ms
    duplicate = own.duplicate_rate if own.duplicate_rate is not None else entry.duplicate_rate
    corrupt = own.corrupt_rate if own.corrupt_rate is not None else entry.corrupt_rate
    loss, bursts = resolve_losses(own, entry, direction, base, problems)
    distribution = read_distribution(
        own.jitter_distribution, entry.jitter_distribution, direction, folder, problems
    ) or (base.jitter_distribution, base.jitter_table)
    link = Link(
        rate_bps=base.rate_bps if rate_kbps is None else round(rate_kbps * KILO),
        delay_us=base.delay_us if delay_ms is None else round(delay_ms * KILO),
        jitter_us=base.jitter_us if jitter_ms is None else round(jitter_ms * KILO),
        loss=loss,
        bursts=bursts,
        duplicate=base.duplicate if duplicate is None else float(duplicate),
        corrupt=base.corrupt if corrupt is None else float(corrupt),
        jitter_distribution=distribution[0],
        jitter_table=distribution[1],
        queue=merge_queue(own.queue, merge_queue(entry.queue, base.queue)),
    )
    problems += check_queue(direction, own.queue, entry.queue, link)
    if own.jitter_distribution is not None and link.jitter_us == 0:
        problems.append(Problem((direction, "jitter_distribution"), NO_JITTER, "add jitter_ms"))
    if link.jitter_us > link.delay_us:
        stated = "jitter_ms" if jitter_ms is not None else "latency_ms"
        path = (direction, stated) if getattr(own, stated) is not None else (stated,)
        if link.delay_us == 0:
            problems.append(Problem(path, "jitter without latency: there is no delay to vary", "add latency_ms"))
        else:
            problems.append(
                Problem(
                    path,
                    f"jitter of {link.jitter_us / KILO:g} ms is larger than the latency of {link.delay_us / KILO:g} ms",
                    "packets cannot arrive before they are sent",
                )
            )
    return link


def resolve_device_type(
    name: str,
    entry: DeviceTypeEntry,
    base: DeviceType | None = None,
    *,
    folder: Path | None = None,
    dockerfiles: Path | None = None,
) -> tuple[DeviceType | None, list[Problem]]:
    """Build the device type that an entry describes on top of its base, or None if a required value is missing.

    A relative ``dockerfile`` starts at ``folder``; bare names are looked up in the folder ``dockerfiles`` (not given:
    they are not looked up).
    """
    problems: list[Problem] = []
    dockerfile = base.dockerfile if base and entry.dockerfile is None else (entry.dockerfile or as_device_name(name))
    if entry.dockerfile is not None or base is None:
        dockerfile = _resolve_dockerfile(dockerfile, entry, folder, dockerfiles, problems)
    network = entry.network
    if base is None:
        missing = [key for key in ("cpus", "memory_mb", "network") if getattr(entry, key) is None]
        problems += [
            Problem((), f'missing key "{key}"', "give it, or based_on with a device type that has it")
            for key in missing
        ]
        if entry.emulate is not None and entry.arch is None:
            problems.append(Problem(("emulate",), "of which architecture?", "add arch, such as arch: arm64"))
        if missing or entry.cpus is None or network is None:
            return None, problems
        base = DeviceType(
            name=name,
            cpus=entry.cpus,
            memory_bytes=0,  # replaced below: the entry has a value
            arch="amd64",
            gpus=0,
            pids=DEFAULT_PIDS,
            network=network,
            dockerfile=dockerfile,
        )
    limited = with_limits(base, entry)
    # Of another speed, or with an accelerator, it is another device, which takes another power.
    other = entry.compute is not None and (entry.compute.like is not None or entry.compute.accelerator is not None)
    energy = None if other else limited.energy
    if entry.energy is not None:
        energy, wrong = resolve_energy(entry.energy)
        problems += wrong
    resolved = replace(
        limited,
        name=name,
        arch=entry.arch or base.arch,
        emulated_by=entry.emulate or base.emulated_by,
        network=network or base.network,
        dockerfile=dockerfile,
        energy=energy,
    )
    return resolved, problems


def with_limits(device_type: DeviceType, limits: LimitsEntry) -> DeviceType:
    """Replace those limits of the device type that are given."""
    # A figure is that of the whole device: with other cores it is another one.
    whole = limits.cpus is None or limits.cpus == device_type.cpus
    return replace(
        device_type,
        compute=device_type.compute if whole else None,
        energy=device_type.energy if whole else None,
        cpus=device_type.cpus if limits.cpus is None else float(limits.cpus),
        memory_bytes=device_type.memory_bytes if limits.memory_mb is None else limits.memory_mb * MEMORY_MB,
        disk_bytes=device_type.disk_bytes if limits.disk_mb is None else limits.disk_mb * MEMORY_MB,
        gpus=device_type.gpus if limits.gpus is None else limits.gpus,
        pids=device_type.pids if limits.pids is None else limits.pids,
        read_bps=device_type.read_bps if limits.read_mb_per_s is None else round(limits.read_mb_per_s * IO_MB),
        write_bps=device_type.write_bps if limits.write_mb_per_s is None else round(limits.write_mb_per_s * IO_MB),
    )


def _resolve_dockerfile(
    value: str, entry: DeviceTypeEntry, folder: Path | None, dockerfiles: Path | None, problems: list[Problem]
) -> str:
    """Return a bare name unchanged and a path made absolute; report a missing Dockerfile as a problem."""
    path = ("dockerfile",) if entry.dockerfile is not None else ()
    if "/" not in value and value not in (".", ".."):
        if dockerfiles is not None and not _has_dockerfile(dockerfiles / value):
            hint = f'"dockerfile" may name another, or a path such as ./{_shown(value)}'
            problems.append(Problem(path, f"there is no dockerfiles/{_shown(value)}/Dockerfile", hint))
        return value
    try:
        directory = ((folder or Path.cwd()) / Path(value).expanduser()).resolve()
    except RuntimeError:
        problems.append(Problem(path, f"{value}: there is no such user here"))
        return value
    if not _has_dockerfile(directory):
        problems.append(Problem(path, f'there is no file "Dockerfile" in {value}', "paths start at this file's folder"))
    # The image is named after the directory.
    wrong = explain_wrong_kind(directory.name)
    if wrong:
        problems.append(Problem(path, *wrong))
    elif dockerfiles is not None and (dockerfiles / directory.name).is_dir() and directory.parent != dockerfiles:
        hint = "rename the directory"
        problems.append(
            Problem(
                path, f"images are named after their directory, and dockerfiles/ already has {directory.name}", hint
            )
        )
    return str(directory)


class Resolver:
    """Resolves named entries over the catalogue's values, each once and after its base."""

    def __init__(self, kind: str, report: Callable[[str, Problem], None]) -> None:
        self.kind = kind
        self.report = report

    def resolve(
        self,
        entries: Mapping[str, EntryT],
        known: Mapping[str, ValueT | None],
        build: Callable[[str, EntryT, ValueT | None], tuple[ValueT | None, list[Problem]]],
    ) -> dict[str, ValueT | None]:
        """Return ``known`` with the entries added or replaced; None stands for a wrong entry, already reported."""
        done: dict[str, ValueT | None] = {}

        def value_of(name: str, chain: tuple[str, ...]) -> ValueT | None:
            # An entry that is based on its own name refers to the catalogue's.
            if name not in entries or (chain and chain[-1] == name and name in known):
                return known.get(name)
            if name in done:
                return done[name]
            entry = entries[name]
            base = None
            if entry.based_on is not None:
                base = base_of(name, entry.based_on, chain)
                if base is None:
                    done[name] = None
                    return None
            done[name], problems = build(name, entry, base)
            for problem in problems:
                self.report(name, problem)
            return done[name]

        def base_of(name: str, base: str, chain: tuple[str, ...]) -> ValueT | None:
            if base not in entries and base not in known:
                self.report(name, unknown_name(("based_on",), self.kind, base, [*entries, *known]))
                return None
            circle = base in chain or (base == name and name not in known)
            if circle or len(chain) >= BASE_CHAIN_MAX:
                bases = " -> ".join((*chain, name, base))
                wrong = f"is based on itself: {bases}" if circle else f"more than {BASE_CHAIN_MAX} bases"
                self.report(name, Problem(("based_on",), wrong))
                return None
            return value_of(base, (*chain, name))

        for name in entries:
            value_of(name, ())
        return {**known, **done}


def _has_dockerfile(directory: Path) -> bool:
    try:
        return (directory / "Dockerfile").is_file()
    except OSError:  # among others a name that no folder can have
        return False


def unknown_name(path: tuple[str, ...], kind: str, name: str, candidates: list[str]) -> Problem:
    """Describe the problem of an unknown name, with the nearest name, or all names, as the hint."""
    return Problem(path, f'there is no {kind} "{_shown(name)}"', suggestion(name, candidates))


def _shown(name: str) -> str:
    return name if len(name) <= NAMED_LETTERS else f"{name[:NAMED_LETTERS]}..."
