"""Which congestion control devices are given, and what is said where they may not have it."""

from __future__ import annotations

from pathlib import Path

import pytest

from fedsim_runner.contract.congestion_control import CongestionControls, read_congestion_controls

USUAL_HOST = CongestionControls("cubic", ("reno", "cubic"), ("reno", "cubic"))
OTHER_HOST = CongestionControls("bbr", ("reno", "bbr", "cubic"), ("reno", "bbr"))
UNKNOWN = CongestionControls("bbr")


@pytest.mark.parametrize(
    ("host", "requested", "chosen", "in_force"),
    [
        (USUAL_HOST, "auto", None, "cubic"),
        (CongestionControls("bbr", ("bbr", "cubic"), ("bbr", "cubic")), "auto", "cubic", "cubic"),
        (OTHER_HOST, "auto", None, "bbr"),
        (OTHER_HOST, "reno", "reno", "reno"),
        (UNKNOWN, "auto", None, "bbr"),
        (UNKNOWN, "cubic", "cubic", "cubic"),
    ],
)
def test_devices_are_given_what_was_asked_for(
    host: CongestionControls, requested: str, chosen: str | None, in_force: str
) -> None:
    assert (host.choose(requested), host.in_force(requested)) == (chosen, in_force)
    assert host.lacks(requested) is None


def test_what_devices_may_not_have_is_named_with_its_fix() -> None:
    what, fix = OTHER_HOST.lacks("cubic") or ("", "")
    assert what == "devices may not have TCP congestion control cubic, only reno, bbr"
    assert fix.startswith('`sysctl -w net.ipv4.tcp_allowed_congestion_control="reno bbr cubic"`, or ')
    what, fix = USUAL_HOST.lacks("bbr") or ("", "")
    assert what == "the kernel has no TCP congestion control bbr, only reno, cubic"
    assert fix.startswith("`modprobe tcp_bbr` and `sysctl -w ")


def test_they_are_read_from_the_kernel(tmp_path: Path) -> None:
    assert read_congestion_controls(tmp_path) == CongestionControls()
    (tmp_path / "tcp_congestion_control").write_text("bbr\n")
    (tmp_path / "tcp_available_congestion_control").write_text("reno bbr cubic\n")
    (tmp_path / "tcp_allowed_congestion_control").write_text("reno bbr\n")
    assert read_congestion_controls(tmp_path) == OTHER_HOST
