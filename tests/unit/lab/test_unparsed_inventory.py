"""Inventories that Ansible cannot read: what is wrong is said once, with the line where there is one."""

from __future__ import annotations

from pathlib import Path

import pytest

from fedsim_runner.lab.access import LabAccess
from fedsim_runner.lab.ansible_inventory import load_lab
from fedsim_runner.lab.inventory_error import LabInventoryError

pytestmark = pytest.mark.ansible

AS_TEXT = "which YAML does not take for text: write"


@pytest.mark.parametrize(
    ("name", "content", "mistakes"),
    [
        (
            "hosts.yml",
            "lab_hosts:\n  hosts:\n    12:\n    no: {ansible_host: 192.0.2.1}\n",
            [f':3: the name of a host is 12, {AS_TEXT} "12"', f':4: the name of a host is no, {AS_TEXT} "no"'],
        ),
        (
            "hosts.yaml",
            "all:\n  children:\n    lab_hosts:\n      children:\n        2024: {hosts: {one: }}\n",
            [f':5: the name of a group is 2024, {AS_TEXT} "2024"'],
        ),
        ("hosts.yml", "lab_hosts: [\n", [":2: expected the node content, but found '<stream end>'"]),
        ("hosts.yml", "lab_hosts:\n\thosts: {}\n", [":2: found character '\\t' that cannot start any token"]),
        (
            "hosts.json",
            '{"lab_hosts": {"hosts": ["one"]}}',
            [': Invalid "hosts" entry for "lab_hosts" group, requires a'],
        ),
        ("hosts.ini", "[lab_hosts]\none two\n", [": Failed to parse inventory: Expected key=value host variable"]),
        ("hosts", "---\n# ours\nlab_hosts:\n  hosts: {1: }\n", [f':4: the name of a host is 1, {AS_TEXT} "1"']),
        ("hosts", "# ours\n[lab_hosts\none\n", [": Failed to parse inventory: "]),
    ],
    ids=[
        "hosts_no_text",
        "group_no_text",
        "unfinished",
        "tab",
        "json",
        "ini",
        "bare_yaml",
        "bare_ini",
    ],
)
def test_each_mistake_is_named_once(
    name: str, content: str, mistakes: list[str], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / name
    path.write_text(content, encoding="utf-8")
    for place in (path, tmp_path):  # as a file and in a folder
        with pytest.raises(LabInventoryError) as refused:
            load_lab(LabAccess(place))
        *lines, count = str(refused.value).splitlines()
        assert len(lines) == len(mistakes)
        for line, mistake in zip(lines, mistakes, strict=True):
            assert line.startswith(f"{path}{mistake}")
        assert count.startswith(f"{len(lines)} mistake")
    assert capfd.readouterr() == ("", "")


def test_what_ansible_says_of_an_inventory_that_it_reads_is_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "hosts.yml"
    path.write_text("lab_hosts: {hosts: {one: }, host: {}}\n", encoding="utf-8")
    assert [host.name for host in load_lab(LabAccess(path))] == ["one"]
    assert "Skipping unexpected key (host) in group (lab_hosts)" in capsys.readouterr().err
