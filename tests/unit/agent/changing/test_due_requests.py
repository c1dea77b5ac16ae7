"""Requests wait for their time, and what a later change has made before is not made again."""

from __future__ import annotations

import json

from fedsim_runner.agent.changing.due_requests import DueParts, DueRequests, Part, decode, encode
from fedsim_runner.agent.kernel.netlink import Form, Request

FORM = Form(36, 0x100, bytes(4), b"tail")


def part(device: str, item: str = "up") -> Part:
    return Part(device, item, device, 7, [FORM])


def devices(due: DueParts | None) -> list[str]:
    assert due is not None
    return [one.device for one in due.parts]


def test_parts_are_the_same_after_they_were_sent_with_each_form_once() -> None:
    parts = [part("a"), Part("b", "down", "", 8, [FORM, Form(44, 0, b"head", b"")])]
    sent = encode(parts)
    assert len(sent["forms"]) == 2 and decode(json.loads(json.dumps(sent))) == parts
    assert FORM.at(258) == Request(36, 0x100, b"\0\0\0\0\2\1\0\0tail")


def test_changes_come_in_the_order_of_their_times() -> None:
    due = DueRequests()
    assert due.next_s is None and due.take(100.0) is None
    due.hold(1, 2.0, [part("a")])
    due.hold(2, 1.0, [part("b")])
    assert due.next_s == 1.0 and due.take(0.9) is None
    first, second = due.take(2.0), due.take(2.0)
    assert first == DueParts(2, 1.0, [part("b")]) and second == DueParts(1, 2.0, [part("a")])
    assert due.take(100.0) is None


def test_who_prepared_a_change_later_knew_of_those_before() -> None:
    due = DueRequests()
    due.hold(1, 2.0, [part("a"), part("a", "down"), part("b")])
    due.hold(2, 1.0, [part("a")])
    assert devices(due.take(1.0)) == ["a"]
    left = due.take(2.0)
    assert left is not None and [(one.device, one.item) for one in left.parts] == [("a", "down"), ("b", "up")]
    # One that comes after it counts again.
    due.hold(3, 3.0, [part("a")])
    assert devices(due.take(3.0)) == ["a"]


def test_what_is_asked_for_before_its_time_is_taken_once() -> None:
    due = DueRequests()
    due.hold(1, 2.0, [part("a")])
    assert due.take_number(2) is None
    assert devices(due.take_number(1)) == ["a"]
    assert due.take_number(1) is None and due.next_s is None


def test_a_new_interface_has_not_been_changed() -> None:
    due = DueRequests()
    due.hold(1, 2.0, [part("a"), part("b")])
    due.hold(2, 1.0, [part("a"), part("b")])
    due.take(1.0)
    due.forget("a")
    assert devices(due.take(2.0)) == ["a"]
