"""Without Docker nothing can happen to links and containers, and nothing is scaled: said before anything is made."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from fedsim_runner.contract.errors import Exit, FedsimError
from fedsim_runner.contract.timeline import TimelineEntry
from fedsim_runner.spec.load import parse_draft
from fedsim_runner.testbed.processes.testbed import ProcessTestbed
from tests.builders import experiment

CUT = TimelineEntry(number=1, devices=("phone-1",), at_s=5, action="offline")
FILE = """\
name: study
time: dilated
devices:
  - {name: server, type: edge-server, role: server}
  - {name: phone, type: smartphone-low, count: 2}
  - name: night
    type: smartphone-low
    available: [[0, 60]]
  - {name: bus, type: smartphone-low, available: {on_s: 60, off_s: 20}}
events:
  - {at: 5, devices: phone, action: offline}
"""


def refusal(text: str) -> list[str]:
    with pytest.raises(FedsimError) as refused:
        ProcessTestbed().accept(parse_draft(text, Path("study.yaml")).finish())
    assert refused.value.exit is Exit.SPEC
    return str(refused.value).splitlines()


def test_an_experiment_with_events_is_refused() -> None:
    assert ProcessTestbed().accept(experiment()).timeline == ()
    with pytest.raises(FedsimError, match="without Docker there are neither links nor containers") as refused:
        ProcessTestbed().accept(replace(experiment(), timeline=(CUT,)))
    assert refused.value.exit is Exit.SPEC and "run it with Docker" in str(refused.value)


def test_all_that_is_impossible_is_named_together_with_its_lines() -> None:
    *lines, count = refusal(FILE)
    assert [line.partition(": without")[0] for line in lines] == [
        "study.yaml:2: time",
        "study.yaml:8: devices[2].available",
        "study.yaml:9: devices[3].available",
        "study.yaml:10: events",
    ]
    assert count == "4 mistakes in study.yaml"
    (only, _) = refusal(FILE.replace("time: dilated\n", "").partition("events:")[0].replace("[[0, 60]]", "[[2, 60]]")
                        .replace(", available: {on_s: 60, off_s: 20}", ""))  # fmt: skip
    assert only.startswith("study.yaml:7: devices[2].available: without Docker"), only


def test_an_experiment_that_no_file_describes_has_no_lines() -> None:
    for of_availability, key in ((False, "events"), (True, "devices")):
        with pytest.raises(FedsimError, match=f"{key}: without Docker there are neither links nor containers"):
            ProcessTestbed().accept(replace(experiment(), timeline=(replace(CUT, of_availability=of_availability),)))
