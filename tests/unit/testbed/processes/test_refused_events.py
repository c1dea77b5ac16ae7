"""Without Docker nothing can happen to links and containers: that is said before anything is made."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fedsim_runner.contract.errors import Exit, FedsimError
from fedsim_runner.contract.timeline import TimelineEntry
from fedsim_runner.testbed.processes.testbed import ProcessTestbed
from tests.builders import experiment


def test_an_experiment_with_events_is_refused() -> None:
    cut = TimelineEntry(number=1, devices=("phone-1",), at_s=5, action="offline")
    assert ProcessTestbed().accept(experiment()).timeline == ()
    with pytest.raises(FedsimError, match="without Docker there are neither links nor containers") as refused:
        ProcessTestbed().accept(replace(experiment(), timeline=(cut,)))
    assert refused.value.exit is Exit.SPEC and "run it with Docker" in refused.value.hint
