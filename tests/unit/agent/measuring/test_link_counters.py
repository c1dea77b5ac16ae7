"""The file of link counters: what has passed since the last line, for what has changed alone."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import cast

import pytest

from fedsim_runner.agent.links.run_links import RunLinks
from fedsim_runner.agent.links.tally import Passed
from fedsim_runner.agent.measuring import link_counters
from fedsim_runner.agent.measuring.link_counters import HEADER, LinkCounters
from fedsim_runner.contract.atomic import CannotWriteError

UP, DOWN = ("pi", "up"), ("pi", "down")


class FakeLinks:
    """What the back end says next."""

    def __init__(self) -> None:
        self.found: dict[tuple[str, str], Passed] = {}

    def look(self, running: Mapping[str, int]) -> dict[tuple[str, str], Passed]:
        found, self.found = self.found, {}
        return found


@pytest.fixture
def links() -> FakeLinks:
    return FakeLinks()


@pytest.fixture
def counters(tmp_path: Path, links: FakeLinks) -> LinkCounters:
    made = LinkCounters(tmp_path / "link_counters.csv", cast(RunLinks, links))
    made.begin(100.0)
    return made


def lines(folder: Path) -> list[str]:
    header, *rows = (folder / "link_counters.csv").read_text(encoding="utf-8").splitlines()
    assert header == HEADER
    return rows


def test_a_line_has_what_passed_since_the_last_look(tmp_path: Path, links: FakeLinks, counters: LinkCounters) -> None:
    for now, found in (
        (101.0, {UP: Passed(1000, 3, 1, 0, 500), DOWN: Passed(0, 0, 0, 0, 0)}),
        (102.25, {UP: Passed(1500, 3, 1, 0, 0)}),
        (103.25, {}),
        (104.25, {DOWN: Passed(70, 2, 0, 1, 0)}),
    ):
        links.found = found
        counters.sample(now, {})
    assert lines(tmp_path) == [
        "101.000,pi,up,1.000,1000,3,1,0,500",
        "102.250,pi,up,1.250,500,0,0,0,0",
        "104.250,pi,down,1.000,70,2,0,1,0",
    ]
    assert counters.now("pi") == {
        "up_backlog_bytes": 0,
        "up_overflowed": 0,
        "up_packets_per_s": 0.0,
        "down_backlog_bytes": 0,
        "down_overflowed": 1,
        "down_packets_per_s": 2.0,
        "overflowed": 1,
    }
    assert set(counters.now("other").values()) == {None}


def test_who_waits_has_a_line_even_if_nothing_passes(tmp_path: Path, links: FakeLinks, counters: LinkCounters) -> None:
    links.found = {UP: Passed(0, 1, 0, 0, 1500)}
    counters.sample(101.0, {})
    counters.sample(102.0, {})
    assert lines(tmp_path) == ["101.000,pi,up,1.000,0,1,0,0,1500", "102.000,pi,up,1.000,0,0,0,0,1500"]
    counters.finish(102.5, {})
    assert counters.now("pi")["up_backlog_bytes"] == 0  # nobody looks any longer


def test_bytes_never_run_backwards(tmp_path: Path, links: FakeLinks, counters: LinkCounters) -> None:
    for now, passed in ((101.0, 1000), (102.0, 990), (103.0, 1100)):
        links.found = {UP: Passed(passed, round(now), 0, 0, 0)}
        counters.sample(now, {})
    assert [line.split(",")[4] for line in lines(tmp_path)] == ["1000", "0", "100"]


def test_a_large_file_gets_rarer_lines_and_misses_nothing(
    tmp_path: Path, links: FakeLinks, counters: LinkCounters, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(link_counters, "PART_BYTES", 64)
    for number in range(1, 5):
        links.found = {UP: Passed(1000 * number, number, 0, 0, 0)}
        counters.sample(100.0 + number, {})
    # After a header of 73 bytes a line is due every other second.
    assert lines(tmp_path) == ["101.000,pi,up,1.000,1000,1,0,0,0", "103.000,pi,up,2.000,2000,2,0,0,0"]
    counters.finish(104.5, {})
    assert lines(tmp_path)[2:] == ["104.500,pi,up,1.500,1000,1,0,0,0"]


def test_on_a_full_disk_the_next_line_has_it_all(
    tmp_path: Path, links: FakeLinks, counters: LinkCounters, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(data: bytes) -> int:
        raise CannotWriteError("no space left")

    with monkeypatch.context() as patch:
        patch.setattr(counters._output, "append", full)
        links.found = {UP: Passed(1000, 1, 0, 0, 0)}
        with pytest.raises(CannotWriteError):
            counters.sample(101.0, {})
    counters.sample(102.0, {})
    assert lines(tmp_path) == ["102.000,pi,up,2.000,1000,1,0,0,0"]


def test_a_later_agent_goes_on_with_the_file(tmp_path: Path, links: FakeLinks, counters: LinkCounters) -> None:
    links.found = {UP: Passed(1000, 1, 0, 0, 0)}
    counters.sample(101.0, {})
    counters.close()
    later = LinkCounters(tmp_path / "link_counters.csv", cast(RunLinks, links))
    later.begin(110.0)
    links.found = {UP: Passed(60, 1, 0, 0, 0)}
    later.sample(111.0, {})
    assert lines(tmp_path)[1:] == ["111.000,pi,up,1.000,60,1,0,0,0"]
