"""What people read about images on their way."""

from __future__ import annotations

from ansible_collections.fedsim.testbed.plugins.plugin_utils._image_shipment import Progress
from ansible_collections.fedsim.testbed.plugins.plugin_utils._shipment_lines import NAMED, ShipmentLines

MB = 2**20


def test_lines_come_every_few_seconds_and_say_how_much_of_how_much() -> None:
    lines = ShipmentLines("lab1")
    two, three = Progress("lab2", 200 * MB), Progress("lab3", 200 * MB)
    assert lines.next([two, three], 100.0) is None
    two.sent, three.sent = 50 * MB, 25 * MB
    assert lines.next([two, three], 104.0) is None
    assert lines.next([two, three], 105.0) == "images: lab2 has 50.0 MB of 200.0 MB, lab3 has 25.0 MB of 200.0 MB"
    two.sent, two.archive_ended, three.ended, three.error = 210 * MB, True, True, "no space left on device"
    assert lines.next([two, three], 111.0) == "images: lab2 loads 210.0 MB"
    two.packed, two.ended = 70 * MB, True
    assert lines.last(112.4) == "images: 210.0 MB, as 70.0 MB, from lab1 to lab2 in 12 s"


def test_of_many_receivers_the_slowest_is_named() -> None:
    lines = ShipmentLines("lab1")
    many = [Progress(f"far{number}", 10 * MB, sent=number * MB) for number in range(1, NAMED + 2)]
    lines.next(many, 1.0)
    assert lines.next(many, 9.0) == "images: far1 has 1.0 MB of 10.0 MB, the slowest of 5"
    for one in many:
        one.ended = True
    assert lines.last(9.0) == "images: 5.0 MB, as 0 B, from lab1 to 5 lab hosts in 8 s"


def test_nothing_is_said_of_a_shipment_that_failed() -> None:
    lines = ShipmentLines("lab1")
    lines.next([Progress("lab2", 1, ended=True, error="refused")], 1.0)
    assert lines.last(2.0) is None
