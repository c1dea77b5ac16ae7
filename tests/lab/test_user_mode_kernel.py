"""The tests of links by netem, inside a user-mode Linux kernel, as many kernels (perhaps this one) lack netem."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from tests.lab import user_mode

TESTS = {
    "links": ("tests/lab/test_links.py", "tests/lab/test_queues.py"),
    "changes": ("tests/lab/test_changes.py",),
    "models": ("tests/lab/test_models.py",),
    "topology": ("tests/lab/test_topology.py",),
    "several lab hosts": (
        "tests/lab/test_lab_encryption.py",
        "tests/lab/test_lab_network.py::test_in_a_lab_of_several_back_ends_each_shapes_its_own_devices_links",
        "tests/lab/test_lab_network.py::test_a_partition_reaches_over_lab_hosts",
        "tests/lab/test_lab_edges.py::test_a_topology_reaches_over_lab_hosts",
    ),
}
# What only the userspace back end has: an agent that packets pass through, rules, a process.
OF_NETEM = "not without_its_agent and not rules and not packet_process"


@pytest.mark.parametrize("what", TESTS)
def test_links_by_netem(what: str, tmp_path: Path) -> None:
    arguments = ["env", "FEDSIM_LAB_BACKEND=netem", sys.executable, "-m", "pytest", "-q", "--color=no"]
    arguments += ["-p", "no:cacheprovider", "-o", "timeout=120", *TESTS[what], "-k", OF_NETEM]
    console = tmp_path / "console"
    with console.open("w", encoding="utf-8") as output:
        code = user_mode.run(arguments, output=output)
    text = console.read_text(encoding="utf-8", errors="replace")
    assert code == 0, text[-6000:]
    summary = re.findall(r"^(?:=+ )?(\d+ passed.*)$", text, re.MULTILINE)
    assert summary and "skipped" not in summary[-1], text[-6000:]


def test_the_exit_code_is_the_commands_own(tmp_path: Path) -> None:
    console = tmp_path / "console"
    with console.open("w", encoding="utf-8") as output:
        assert user_mode.run(["sh", "-c", "echo from $(uname -m) $(pwd); exit 7"], 60, output) == 7
    assert f" {user_mode.ROOT}" in console.read_text(encoding="utf-8", errors="replace")


def test_a_kernel_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(user_mode.NAMED, "/nowhere/linux")
    with pytest.raises(user_mode.UserModeError, match="/nowhere/linux, which is not an executable file"):
        user_mode.run(["true"])
    monkeypatch.delenv(user_mode.NAMED)
    monkeypatch.setattr(user_mode, "DEBIANS", ())
    with pytest.raises(user_mode.UserModeError, match="apt-get install user-mode-linux kmod"):
        user_mode.find_kernel()
