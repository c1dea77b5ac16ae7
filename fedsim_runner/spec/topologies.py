"""The topology of an experiment: which devices are neighbours, and the way of the others to the server."""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence

from pydantic import ValidationError

from ..catalog.entries import ProfileEntry
from ..catalog.suggestions import suggestion
from ..contract.link import Link, Links
from ..contract.topology import Edge, Topology
from ..yamlfile.document import Document
from ..yamlfile.spec_errors import PathPart
from .definitions import Choices
from .device_list import device_names
from .experiment import Device
from .profile_choice import choose_profile, varies
from .schema import EdgeEntry
from .valid_part import Checked

AT = "topology"
#: A kernel passes on what it gets with a time to live of 64 at most so often.
HOPS_MAX = 63
#: In the kernel each device then has a bridge, which is a port of another, and a bridge has 1023 ports.
DEVICES_MAX = 1000
SHOWN = 5


def read_topology(
    checked: Checked, devices: Sequence[Device], choices: Choices, known: bool, document: Document
) -> Topology | None:
    """Return the sites and edges of a topology in which not all devices are neighbours; None: they are.

    Args:
        checked: the file.
        devices: what was made of its devices; of those that are wrong, nothing.
        choices: network profiles.
        known: whether the names of all are.
        document: takes what is wrong.
    """
    given = checked.file.topology
    listed = _entries(document)
    if listed is None and (given == "star" or (AT,) in checked.invalid):
        return None
    if checked.file.regions:
        document.report((AT,), "an experiment has regions or a topology of edges, not both", "remove one of them")
    entries = [entry for entry in checked.entries if entry is not None]
    server = next((name for entry in entries if entry.role == "server" for name in device_names(entry)), None)
    if not known or server is None:
        return None
    names = [server, *(name for entry in entries for name in device_names(entry) if name != server)]
    if len(names) > DEVICES_MAX:
        document.report((AT,), f"{len(names)} devices: with edges there can be {DEVICES_MAX}")
    if given == "mesh":
        return None
    if listed is None:
        edges = _ring(names) if given == "ring" else _tree(names)
    else:
        if not listed:
            document.report((AT, "edges"), "no edges", "list the pairs of devices that are neighbours")
        edges = _listed(listed, set(names), choices, document)
    parents = _ways(server, edges)
    lost = [name for name in names if name not in parents and name != server]
    if lost and not _is_wrong(document, f"{AT}.edges"):
        shown = ", ".join(lost[:SHOWN]) + (f" and {len(lost) - SHOWN} more" if len(lost) > SHOWN else "")
        all_of_them = len(lost) == len(names) - 1
        document.report(
            (AT, "edges"),
            f"nothing connects the server {server}" if all_of_them else f"no way from {shown} to the server",
            f"give {server} an edge" if all_of_them else f"give {lost[0]} an edge to a device that has one",
        )
    if _is_wrong(document, AT) or len(names) != len(devices):
        return None
    topology = Topology({name: name for name in names}, tuple(edges), parents)
    longest = max((topology.between(name, server) for name in parents), key=len, default=())
    if len(longest) - 1 > HOPS_MAX:
        document.report(
            (AT,),
            f"{longest[0]} is {len(longest) - 1} hops from the server, and a packet can take {HOPS_MAX}",
            "ask for fewer devices, or give edges that make the way shorter",
        )
        return None
    return topology


def _is_wrong(document: Document, part: str) -> bool:
    return any(error.path.startswith(part) for error in document.errors)


def _ring(names: Sequence[str]) -> list[Edge]:
    """Each device and the next, in the order of the file from the server on, and the last and the server."""
    pairs = list(zip(names, [*names[1:], *names[:1]], strict=True))
    return [_plain(*pair) for pair in (pairs if len(names) > 2 else pairs[:1])]


def _tree(names: Sequence[str]) -> list[Edge]:
    """A binary tree with the server as its root, filled level by level in the order of the file."""
    return [_plain(names[(number - 1) // 2], names[number]) for number in range(1, len(names))]


def _plain(first: str, second: str) -> Edge:
    return Edge(first, second, Link(), Link())


def _entries(document: Document) -> list[EdgeEntry | None] | None:
    """The edges of the file; None for each that is invalid, and None if it lists none."""
    listed = document.get((AT, "edges"))
    if not isinstance(listed, list):
        return None
    entries: list[EdgeEntry | None] = []
    for item in listed:
        try:
            entries.append(EdgeEntry.model_validate(item))
        except ValidationError:  # which has been reported
            entries.append(None)
    return entries


def _listed(entries: Sequence[EdgeEntry | None], names: set[str], choices: Choices, document: Document) -> list[Edge]:
    edges = []
    seen: dict[frozenset[str], int] = {}
    for number, entry in enumerate(entries):
        if entry is None:
            continue
        at: tuple[PathPart, ...] = (AT, "edges", number)
        unknown = [name for name in entry.between if name not in names]
        for name in dict.fromkeys(unknown):
            document.report((*at, "between"), f'there is no device "{name}"', suggestion(name, sorted(names)))
        links = _links(entry, at, choices, document)
        if unknown:
            continue
        first, second = entry.between
        if first == second:
            document.report((*at, "between"), f"an edge from {first} to itself", "an edge connects two devices")
            continue
        earlier = seen.setdefault(frozenset(entry.between), number)
        if earlier != number:
            document.report(
                (*at, "between"),
                f"{first} and {second} have an edge already, {AT}.edges[{earlier}]",
                "remove one of them",
            )
            continue
        if links is not None:
            edges.append(Edge(first, second, links.up, links.down))
    return edges


def _links(entry: EdgeEntry, at: tuple[PathPart, ...], choices: Choices, document: Document) -> Links | None:
    if entry.network is None:
        return Links(Link(), Link())
    name = "-".join(entry.between) if isinstance(entry.network, ProfileEntry) else entry.network
    profile = choose_profile(entry.network, f"{name}-link", (*at, "network"), choices, document)
    if profile is not None and (profile.varying is not None or varies(entry.network)):
        document.report((*at, "network"), "varies by itself, and an edge does not", "give the trace to devices")
        return None
    return None if profile is None else profile.links


def _ways(server: str, edges: Sequence[Edge]) -> Mapping[str, str]:
    """The next device on each one's way to the server: with the fewest hops, then the least delay of the edges.

    Among equal ones that whose name comes first.
    """
    neighbours: dict[str, list[tuple[str, int]]] = {}
    for edge in edges:
        delay_us = edge.there.delay_us + edge.back.delay_us
        neighbours.setdefault(edge.first, []).append((edge.second, delay_us))
        neighbours.setdefault(edge.second, []).append((edge.first, delay_us))
    found: dict[str, str] = {}
    waiting = [(0, 0, "", server)]
    done = set()
    while waiting:
        hops, delay_us, parent, name = heapq.heappop(waiting)
        if name in done:
            continue
        done.add(name)
        if parent:
            found[name] = parent
        for other, more_us in neighbours.get(name, ()):
            if other not in done:
                heapq.heappush(waiting, (hops + 1, delay_us + more_us, name, other))
    return found
