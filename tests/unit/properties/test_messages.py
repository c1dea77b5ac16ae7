"""What processes tell each other: anything is read without harm, and what is right comes back as it was."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import fields
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fedsim_runner.agent.course.activities import Activities
from fedsim_runner.contract import agent_calls, participant_events
from fedsim_runner.contract.course_state import ONLY_HOST, CourseState
from fedsim_runner.contract.device_file import DeviceFile, DeviceFileError
from fedsim_runner.contract.events import Event, parse_line
from fedsim_runner.contract.records import LaunchSettings, read_exit_reason, read_lost, read_open_at
from fedsim_runner.contract.typed_json import FormError
from fedsim_runner.participant.federatedscope.loglines import LogReader
from fedsim_runner.participant.light.wire import Message, decode, encode

from .strategies import NASTY_TEXT, VALUES, changed, damaged

pytestmark = pytest.mark.lengthy

INT32 = st.integers(-(2**31), 2**31 - 1)
CONTENTS = st.recursive(
    INT32 | st.floats(width=32, allow_nan=False) | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=10,
)
MESSAGES = st.builds(
    Message,
    msg_type=st.text(max_size=12),
    sender=INT32,
    receiver=st.lists(INT32, max_size=3),
    state=INT32,
    content=CONTENTS,
    timestamp=st.integers(0, 100).map(float),
)


@given(MESSAGES)
def test_a_message_arrives_as_it_was_sent(message: Message) -> None:
    assert decode(encode(message)) == message


@given(MESSAGES.map(encode).flatmap(damaged) | st.binary(max_size=200))
def test_a_damaged_message(data: bytes) -> None:
    try:
        assert isinstance(decode(data).sender, int)
    except ValueError as error:
        assert "not a FederatedScope message" in str(error)


# Lines with the names and fields of real events, and values of any kind in them.
def lines_of(names: dict[str, type[Any]]) -> st.SearchStrategy[str]:
    def line(name: str) -> st.SearchStrategy[str]:
        keys = st.sampled_from(["t", "event", "name", *(field.name for field in fields(names[name]))])
        return st.dictionaries(keys, VALUES, max_size=5).map(lambda found: _json({"event": name, **found}))

    return st.sampled_from(sorted(names)).flatmap(line)


def _json(value: Any) -> str:
    try:
        return json.dumps(value)
    except ValueError:  # a number of more than 4300 digits
        return '{"event": "round_started", "round": 1' + "0" * 5000 + "}"


ANY_LINE = st.text(max_size=80) | VALUES.map(_json)
JOURNAL_LINES = st.lists(ANY_LINE | lines_of(Event.known), max_size=6)


@given(JOURNAL_LINES)
@example(['{"event": "of another version", "value": Infinity}'])
def test_a_journal_of_anything_is_a_course(lines: list[str]) -> None:
    events = [event for event in map(parse_line, lines) if event is not None]
    course = CourseState({ONLY_HOST}).apply_all(events)
    assert course.round >= 0
    for event in events:  # and can be written and read again
        assert event.t is None or math.isfinite(event.t)
        again = parse_line(event.to_line())
        assert again is not None and again.as_dict() == event.as_dict()


PARTICIPANT_EVENTS = {kind.name: kind for kind in participant_events.ParticipantEvent.__subclasses__()}


@given(ANY_LINE | lines_of(PARTICIPANT_EVENTS))
def test_a_line_of_a_participant(line: str) -> None:
    participant_events.parse(line)


ACTIVITY = {"t": 1.5, "what": "send", "msg": "model_para", "round": 1, "peer": 2, "bytes": 100}


@given(st.lists(ANY_LINE | changed(ACTIVITY).map(_json), max_size=6))
def test_lines_of_activity(lines: list[str]) -> None:
    activities = Activities(["server", "mote-1"], "server")
    for line in lines:
        activities.feed("mote-1", line)
        activities.feed("server", line)


READERS: dict[str, Callable[[str], object]] = {
    "launcher.json": LaunchSettings.from_text,
    "exit.json": lambda text: read_exit_reason(text, 1),
    "open": read_open_at,
    "lost.json": read_lost,
}


@pytest.mark.parametrize("name", READERS)
@given(text=ANY_LINE)
def test_a_small_file_between_two_processes(name: str, text: str) -> None:
    try:
        READERS[name](text)
    except (ValueError, RecursionError) as error:
        assert name != "exit.json", error


@given(
    st.sampled_from(sorted(agent_calls.CALLS)) | NASTY_TEXT,
    st.dictionaries(st.sampled_from(["check", "devices", "open_at"]) | NASTY_TEXT, VALUES, max_size=3),
)
def test_a_call_of_the_agent(name: str, arguments: dict[str, Any]) -> None:
    try:
        call = agent_calls.parse_call(name, arguments)
    except FormError as error:
        assert str(error)
        return
    (*_, said, text) = agent_calls.command_line(call)
    assert agent_calls.parse_call(said, json.loads(text)) == call


@given(ANY_LINE)
def test_an_answer_of_the_agent(output: str) -> None:
    answer = agent_calls.parse_answer(output)
    assert answer is None or isinstance(answer, dict)


@given(st.data())
def test_a_device_file(device_file: dict[str, Any], data: st.DataObject) -> None:
    content = data.draw(changed(device_file))
    try:
        read = DeviceFile.from_dict(content)
    except DeviceFileError as error:
        assert str(error)
        return
    assert DeviceFile.from_dict(json.loads(json.dumps(read.as_dict()))).as_text() == read.as_text()


LOG = [
    "2026-01-01 00:00:00,000 (server:3)INFO: {'Role': 'Server #', 'Round': 3, 'Results_raw': {'test_acc': 0.9}}",
    "2026-01-01 00:00:00,000 (client:3)INFO: {'Role': 'Client #1', 'Round': 3, 'Results_raw': {'train_loss': 0.9}}",
    "2026-01-01 00:00:00,000 (server:1)INFO: ----------- Starting a new training round (Round #4) -------------",
    "2026-01-01 00:00:00,000 (server:1)INFO: Server: Training is finished! Starting evaluation.",
    "2026-01-01 00:00:00,000 (client:1)INFO: Client (address 198.18.0.3:50051) is assigned with #2.",
]
LOG_LINES = (
    st.sampled_from(LOG).flatmap(lambda text: damaged(text.encode())).map(lambda raw: raw.decode(errors="replace"))
)


@given(st.lists(LOG_LINES | st.text(max_size=60) | VALUES.map(repr), max_size=4))
def test_a_log_of_federatedscope(lines: list[str]) -> None:
    reader = LogReader()
    for line in lines:
        for event in reader.events(line):
            text = participant_events.to_line(event, 1.0)
            assert text.count("\n") == 1 and text.endswith("\n")
