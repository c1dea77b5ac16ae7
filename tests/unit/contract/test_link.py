"""Links as JSON data: what was written by an older version is read, and only what differs from it is written."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fedsim_runner.contract.gilbert_elliott import GilbertElliott
from fedsim_runner.contract.link import Link, Links, Queue
from fedsim_runner.contract.queue_size import FRAME_BYTES, buffer_bytes
from fedsim_runner.contract.typed_json import FormError, dump, load

OLD = {"rate_bps": 1000, "delay_us": 5, "jitter_us": 0, "loss": 0.5}


def test_a_link_of_an_older_version_is_read_and_written_as_before() -> None:
    assert Link.from_dict(OLD) == Link(1000, 5, 0, 0.5)
    assert Link(1000, 5, 0, 0.5).as_dict() == OLD
    assert dump(Links(Link(), Link(1000, 5, 0, 0.5)))["down"] == OLD


@pytest.mark.parametrize(
    ("name", "value", "written"),
    [
        ("queue", Queue(buffer_us=20_000), {"buffer_us": 20_000}),
        ("queue", Queue(buffer_bytes=9_000), {"buffer_bytes": 9_000}),
        ("jitter_distribution", "normal", "normal"),
        ("jitter_table", (-1, 5), [-1, 5]),
        ("bursts", GilbertElliott(0.1, 0.5), {"p": 0.1, "r": 0.5, "bad_loss": 1.0, "good_loss": 0.0}),
        ("duplicate", 0.5, 0.5),
        ("corrupt", 0.5, 0.5),
    ],
)
def test_what_differs_from_the_defaults_is_written_and_read_again(name: str, value: object, written: object) -> None:
    link = replace(Link(1000), **{name: value})
    assert link.as_dict() == {**Link(1000).as_dict(), name: written}
    assert Link.from_dict(link.as_dict()) == link
    assert load(Links, dump(Links(link, Link()))) == Links(link, Link())


def test_a_wrong_value_names_its_place() -> None:
    with pytest.raises(FormError, match=r"link\.queue\.buffer_us: expected a whole number, not text"):
        Link.from_dict({**OLD, "queue": {"buffer_us": "20"}})


def test_a_queue_has_the_room_asked_for_and_that_of_a_frame_at_least() -> None:
    assert buffer_bytes(8_000_000) == 100_000
    assert buffer_bytes(8_000_000, Queue(buffer_us=20_000)) == 20_000
    assert buffer_bytes(8_000_000, Queue(buffer_bytes=5_000)) == 5_000
    assert buffer_bytes(8_000, Queue(buffer_us=20_000)) == FRAME_BYTES


def test_another_loss_ends_bursts() -> None:
    bursts = GilbertElliott(0.1, 0.5)
    assert Link(loss=bursts.mean_loss, bursts=bursts).with_loss(0.25) == Link(loss=0.25)
