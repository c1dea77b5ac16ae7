"""What was found on a lab host, within what its inventory states."""

from __future__ import annotations

import pytest

from fedsim_runner.testbed.docker.remote.probe import within
from tests.builders import lab_host


@pytest.mark.parametrize(("stated", "counts"), [("", "EPYC"), ("throttled EPYC", "throttled EPYC")])
def test_a_processor_has_the_name_that_the_inventory_gives_it(stated: str, counts: str) -> None:
    found = lab_host(cpus=8, processor="EPYC")
    assert within(lab_host(cpus=0, processor=stated), found) == lab_host(cpus=8, processor=counts)
