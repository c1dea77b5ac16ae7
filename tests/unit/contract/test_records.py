"""The small files passed between two processes, and the calls that the agent accepts."""

from __future__ import annotations

import json

import pytest

from fedsim_runner.contract import agent_calls, records
from fedsim_runner.contract.agent_calls import ApplyLinks, OpenGate, Status, command_line, parse_answer, parse_call
from fedsim_runner.contract.typed_json import FormError
from tests.device_files import device, device_file


def test_launch_settings_survive_a_round_trip() -> None:
    whole = device_file(course={"min_clients": 2, "round_deadline_s": 7.5, "target": 0.9})
    settings = records.LaunchSettings.of(device("pi-1"), whole.course, whole.federatedscope, time_factor=0.25)
    assert settings.time_scale.to_wall(20.0) == 80.0
    assert records.LaunchSettings.from_text(settings.as_text()) == settings
    assert (settings.round_deadline_s, settings.target) == (7.5, 0.9)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"version": 1, "device": "a"}', "version 1, and this fedsim-runner reads version 2"),
        ('{"device": 3}', "device: expected text, not a whole number"),
        ("[]", "version None"),
        ("{", "Expecting"),
    ],
)
def test_launch_settings_of_another_form_are_refused(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        records.LaunchSettings.from_text(text)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('{"exit_code": 1, "error": "no shard"}', "no shard"),
        ('{"exit_code": 2, "error": "of another start"}', None),
        ('{"exit_code": 1, "error": null}', None),
        ('{"exit_code": 1, "error": "\\ud800"}', "?"),
        ("[" * 100_000, None),
        ("", None),
        ("3", None),
    ],
)
def test_an_exit_record_may_hold_anything(text: str, reason: str | None) -> None:
    assert records.read_exit_reason(text, 1) == reason


def test_the_gate_says_when_it_opens() -> None:
    assert records.read_open_at(records.format_gate(12.5)) == 12.5
    assert records.read_open_at("{}") is None
    for text in ("", "[]", '{"open_at": []}'):
        with pytest.raises(ValueError):
            records.read_open_at(text)


def test_lost_clients_are_read_as_written() -> None:
    assert records.read_lost(records.format_lost({"a": "frozen"})) == {"a": "frozen"}
    with pytest.raises(ValueError):
        records.read_lost("[]")


@pytest.mark.parametrize("call", [ApplyLinks(True, ("pi-1",)), ApplyLinks(), OpenGate(3.5), Status()], ids=str)
def test_a_call_arrives_as_it_was_made(call: agent_calls.Call) -> None:
    *_, name, arguments = command_line(call)
    assert parse_call(name, json.loads(arguments)) == call


def test_an_unknown_call_is_refused_with_the_known_ones() -> None:
    with pytest.raises(
        FormError,
        match=r"no command 'go': probe, lab-offer, lab-join, .*, packets, stop",
    ):
        parse_call("go", {})
    with pytest.raises(FormError, match=r"links-apply\.chek: unknown key"):
        parse_call("links-apply", {"chek": True})


@pytest.mark.parametrize(
    ("output", "answer"), [('warning\n{"a": 1}\n', {"a": 1}), ("", None), ("[]", None), ("x", None)]
)
def test_the_answer_is_the_last_line(output: str, answer: object) -> None:
    assert parse_answer(output) == answer
