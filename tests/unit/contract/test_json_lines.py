"""JSON with one entry on a line."""

from __future__ import annotations

import json

import pytest

from fedsim_runner.contract.json_lines import in_lines


@pytest.mark.parametrize(
    "content",
    [
        {},
        {"a": 1},
        {"a": [], "b": {}, "c": None},
        {"a": [1, {"x": "\n"}], "b": {"é": [1, 2], 'q"': {"y": 1}}, "c": "t"},
    ],
)
def test_it_is_read_as_what_was_written(content: dict[str, object]) -> None:
    assert json.loads(in_lines(content)) == content


def test_entries_have_a_line_each() -> None:
    text = in_lines({"run": "a", "devices": [{"name": "x", "cpus": 1}, {"name": "y"}], "peers": {"lab2": ["z"]}})
    assert text.splitlines() == [
        "{",
        ' "run": "a",',
        ' "devices": [',
        '  {"name": "x", "cpus": 1},',
        '  {"name": "y"}',
        " ],",
        ' "peers": {',
        '  "lab2": ["z"]',
        " }",
        "}",
    ]
