"""What a name stands for where an experiment file means some of its devices."""

from __future__ import annotations

from pathlib import Path

from fedsim_runner.spec.device_selectors import DeviceSelectors
from fedsim_runner.spec.load import parse_draft
from fedsim_runner.spec.schema import ExperimentFile
from fedsim_runner.yamlfile.document import parse

FILE = """\
name: x
devices:
  - {name: server, type: edge-server, role: server}
  - {name: phone, type: smartphone_low, count: 2}
  - {type: smartphone_low}
  - {name: raspberry-pi, type: iot-minimal}
  - {name: other, type: raspberry-pi}
device_types:
  smartphone_low: {based_on: smartphone-low, dockerfile: smartphone-low}
"""


def selectors() -> DeviceSelectors:
    draft = parse_draft(FILE, Path("x.yaml"))
    assert draft.document.errors == []
    entries = ExperimentFile.model_validate(parse(FILE, "x.yaml").value()).devices
    return DeviceSelectors(draft.experiment.devices, entries)


def test_a_name_a_type_the_name_of_several_and_all() -> None:
    found = selectors()
    assert found.select(["phone-2"]) == ("phone-2",)
    assert found.select(["phone"]) == ("phone-1", "phone-2")
    assert found.select(["smartphone_low"]) == ("phone-1", "phone-2", "smartphone-low")
    assert found.select(["all"]) == ("phone-1", "phone-2", "smartphone-low", "raspberry-pi", "other")
    assert found.select(["edge-server"]) == ("server",)


def test_a_devices_own_name_comes_before_a_type_of_that_name() -> None:
    assert selectors().select(["raspberry-pi"]) == ("raspberry-pi",)


def test_each_device_once_and_in_the_order_of_the_file() -> None:
    assert selectors().select(["other", "all", "server", "phone"]) == (
        "server", "phone-1", "phone-2", "smartphone-low", "raspberry-pi", "other",
    )  # fmt: skip


def test_a_region_stands_for_the_devices_there() -> None:
    text = FILE.replace("role: server}", "role: server, region: eu}").replace("minimal}", "minimal, region: phone}")
    text = text.replace("count: 2}", "count: 2, region: eu}").replace("low}\n  -", "low, region: us}\n  -")
    text = (
        text.replace("raspberry-pi}", "raspberry-pi, region: eu}")
        + "regions: {eu: {us: {latency_ms: 1}, phone: {latency_ms: 1}}, us: {phone: {latency_ms: 1}}}"
    )
    draft = parse_draft(text, Path("x.yaml"))
    assert draft.document.errors == []
    found = DeviceSelectors(draft.experiment.devices, ExperimentFile.model_validate(parse(text, "x").value()).devices)
    assert found.select(["eu"]) == ("server", "phone-1", "phone-2", "other")
    assert found.select(["us"]) == ("smartphone-low",)
    assert found.select(["phone"]) == ("phone-1", "phone-2"), "other names come first"


def test_what_is_not_known_stands_for_nobody() -> None:
    found = selectors()
    assert not found.known("wifi") and not found.known("smartphone-low-1") and found.select(["wifi"]) == ()
