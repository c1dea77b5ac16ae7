"""How many regions there may be; other mistakes in them are among the golden files."""

from __future__ import annotations

from pathlib import Path

from fedsim_runner.spec.load import parse_draft
from fedsim_runner.spec.regions import REGIONS_MAX


def test_more_regions_than_a_bridge_has_ports_are_one_mistake() -> None:
    names = [f"r{number}" for number in range(REGIONS_MAX + 1)]
    regions = "".join(f"  {name}: {{r0: {{latency_ms: 1}}}}\n" for name in names[1:])
    devices = "".join(f"  - {{name: d{name}, type: iot-minimal, region: {name}}}\n" for name in names[1:])
    server = "  - {name: server, type: edge-server, role: server, region: r0}\n"
    draft = parse_draft(f"name: x\nregions:\n{regions}devices:\n{server}{devices}", Path("x.yaml"))
    assert [str(error) for error in draft.document.errors] == [
        "x.yaml:2: regions: 1001 regions have devices: the bridge that connects regions has ports for fewer "
        "(use at most 1000 regions)"
    ]
