"""The regions of an experiment: which one each device is in, and how far they are from each other."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence

from ..catalog.name_rules import explain_wrong_kind
from ..catalog.resolve import KILO
from ..catalog.suggestions import suggestion
from ..contract.link import Link
from ..contract.topology import Edge, Topology
from ..yamlfile.document import Document
from .device_selectors import ALL
from .experiment import Device
from .schema import RegionEntry
from .valid_part import Checked

AT = "regions"
#: In the kernel each region has a bridge, which is a port of another, and a bridge has 1023 ports.
REGIONS_MAX = 1000
Matrix = Mapping[str, Mapping[str, RegionEntry]]


def read_regions(checked: Checked, devices: Sequence[Device], document: Document) -> Topology | None:
    """Return the sites and edges that the regions make; None: there are none. What is wrong with them is reported.

    Args:
        checked: the file.
        devices: what was made of its devices.
    """
    regions = checked.file.regions
    # Of what is invalid nothing more is said than that.
    unclear = {path[1:3] for path in checked.invalid if path[:1] == (AT,)}
    if () in unclear:
        return None
    named = [*regions, *(name for row in regions.values() for name in row)]
    known = [str(name) for name in dict.fromkeys([*named, *(name for path in unclear for name in path)])]
    for name in dict.fromkeys(named):
        if name == ALL:
            place = (AT, name) if name in regions else (AT,)
            document.report(place, f'"{ALL}" stands for all clients where events name devices', "give it another name")
        elif wrong := explain_wrong_kind(name):
            document.report((AT, name) if name in regions else (AT,), *wrong)
    _check_matrix(regions, document)
    used = set()
    for number, entry in enumerate(checked.entries):
        if entry is None or checked.has_invalid_at(number, "region"):
            continue
        if entry.region is None:
            if known:
                document.report(
                    ("devices", number), "no region, and nothing says how far it is from others", "give it a region"
                )
        elif not known:
            document.report(
                ("devices", number, "region"),
                "there are no regions",
                f"give {AT}, with the latency between each two of them, or remove it",
            )
        elif entry.region not in known:
            places = [(AT, entry.region), *((AT, name, entry.region) for name in known)]
            if any(len(path) == 1 for path in unclear) or any(map(document.errors_at, places)):
                continue  # it may be in a row that is invalid, or has no value
            hint = suggestion(entry.region, known)
            document.report(("devices", number, "region"), f'there is no region "{entry.region}"', hint)
        else:
            used.add(entry.region)
    if len(used) > REGIONS_MAX:
        hint = f"use at most {REGIONS_MAX} regions"
        document.report(
            (AT,), f"{len(used)} regions have devices: the bridge that connects regions has ports for fewer", hint
        )
        return None
    edges = []
    for first, second in itertools.combinations(sorted(used), 2):
        found = regions.get(first, {}).get(second) or regions.get(second, {}).get(first)
        if found is None and unclear & {(first,), (second,), (first, second), (second, first)}:
            continue
        if found is None:
            place = next(((AT, name) for name in (first, second) if name in regions), (AT,))
            document.report(
                place,
                f'no latency between "{first}" and "{second}", and both have devices',
                f"give {AT}.{first}.{second}.latency_ms",
            )
            continue
        link = Link(None if found.rate_kbps is None else round(found.rate_kbps * KILO), round(found.latency_ms * KILO))
        edges.append(Edge(first, second, link, link))
    complete = len(edges) == math.comb(len(used), 2) and all(device.region in used for device in devices)
    if not complete or not edges:
        return None
    return Topology({device.name: str(device.region) for device in devices}, tuple(edges))


def _check_matrix(regions: Matrix, document: Document) -> None:
    for first, row in regions.items():
        for second, values in row.items():
            if first == second:
                document.report(
                    (AT, first, second),
                    "a region's latency to itself",
                    "remove it: devices of one region are as far apart as their own links make it",
                )
                continue
            other = regions.get(second, {}).get(first)
            if other is not None and other != values and list(regions).index(first) > list(regions).index(second):
                document.report(
                    (AT, first, second),
                    f"differs from {AT}.{second}.{first}, and what lies between two regions holds in both directions",
                    "give it once",
                )
