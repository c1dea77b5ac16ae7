"""An experiment around a configuration of FederatedScope in a file of its own, as tests of such files give them."""

from __future__ import annotations

from pathlib import Path

SPEC = """\
name: theirs
devices:
  - {name: server, type: edge-server, role: server}
  - {type: iot-minimal}
data: {dataset: iris}
federatedscope: {config_file: their.yaml}
"""


def write_around(theirs: str, folder: Path) -> Path:
    """Write both files; return the experiment's."""
    (folder / "their.yaml").write_text(theirs, encoding="utf-8")
    (folder / "x.yaml").write_text(SPEC, encoding="utf-8")
    return folder / "x.yaml"
