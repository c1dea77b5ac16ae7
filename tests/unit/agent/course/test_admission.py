"""Who loads next: a few at a time, each for a limited time."""

from __future__ import annotations

from fedsim_runner.agent.course.admission import Admission, Turn


def test_as_many_load_as_may_and_the_next_when_one_has_loaded() -> None:
    admission = Admission(dict.fromkeys("abcd", 10.0), at_once=2)
    assert admission.next(0.0, ()) == Turn(admitted=("a", "b"))
    assert admission.next(1.0, ()) == Turn()
    assert admission.next(2.0, {"b"}) == Turn(settled=("b",), admitted=("c",))
    assert admission.next(3.0, {"a", "b", "c"}) == Turn(settled=("a", "c"), admitted=("d",))
    assert not admission.is_done
    assert admission.next(4.0, {"a", "b", "c", "d"}) == Turn(settled=("d",))
    assert admission.is_done


def test_who_takes_too_long_makes_room_once() -> None:
    admission = Admission({"a": 10.0, "b": 20.0, "c": 10.0}, at_once=2)
    admission.next(0.0, ())
    assert admission.next(9.9, ()) == Turn()
    admission.prolong("a", 5.0)
    assert admission.next(10.0, ()) == Turn()
    assert admission.next(15.0, ()) == Turn(overdue=("a",), admitted=("c",))
    assert admission.next(20.0, {"c"}) == Turn(settled=("c",), overdue=("b",))
    assert admission.is_done and admission.limit_s("a") == 15.0


def test_who_has_ended_or_loaded_before_is_not_admitted() -> None:
    admission = Admission(dict.fromkeys("abc", 10.0), at_once=1)
    assert admission.next(0.0, {"a", "b"}) == Turn(admitted=("c",))
    assert Admission({}, at_once=3).is_done


def test_the_longest_time_covers_all_of_them() -> None:
    admission = Admission(dict.fromkeys("abcdef", 10.0), at_once=2)
    now = 0.0
    while not admission.is_done:
        admission.next(now, ())
        now += 1.0
    assert now <= admission.longest_s + 1.0
