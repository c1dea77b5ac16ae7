"""What Ansible is given of a run folder: nothing that it would carry out."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.unit.testbed.tiny_playbooks import TinyLab

pytestmark = pytest.mark.ansible


class Silent:
    """A listener that does nothing."""

    def stage(self, name: str) -> None:
        pass

    def detail(self, text: str) -> None:
        pass

    def event(self, event: Mapping[str, Any]) -> None:
        pass

    def snapshot(self, snapshot: Mapping[str, Any]) -> None:
        pass

    def cancelled(self) -> bool:
        return False


def test_neither_the_inventory_of_a_run_folder_nor_its_path_is_carried_out(tmp_path: Path) -> None:
    """After a run its folder may come from somebody else."""
    lab, touched = TinyLab(tmp_path / "lab"), tmp_path / "touched"
    act = f"lookup('pipe', 'touch {touched}')"
    folder = tmp_path / "runs" / "{{6*7}}"
    (folder / "inventory" / "group_vars").mkdir(parents=True)
    (folder / "inventory" / "device_files").mkdir()
    (folder / "inventory" / "device_files" / "elsewhere.json").touch()
    hosts = f'all: {{children: {{lab_hosts: {{hosts: {{elsewhere: {{ansible_host: "{{{{ {act} }}}}"}}}}}}}}}}\n'
    (folder / "inventory" / "hosts.yml").write_text(hosts, encoding="utf-8")
    variables = f'fedsim_run: "{{{{ {act} }}}}"\nansible_connection: "{{{{ {act} }}}}"\n'
    (folder / "inventory" / "group_vars" / "all.yml").write_text(variables, encoding="utf-8")

    lab.testbed.collect("theirs", folder, folder, Silent())
    assert sorted(path.name for path in folder.glob("*-collected")) == ["one-collected", "two-collected"]
    assert lab.testbed.destroy("theirs", folder, Silent()) == []
    assert not touched.exists()
    assert [path.name for path in (tmp_path / "runs").iterdir()] == [folder.name]
