"""What participants write, as it is shown to people."""

from __future__ import annotations

import pytest

from fedsim_runner.contract.log_text import clean, harmless, shown, without_numbers


@pytest.mark.parametrize(
    ("written", "seen"),
    [
        ("round 1: accuracy 0.9", "round 1: accuracy 0.9"),
        ("größer ✓ 模型", "größer ✓ 模型"),
        ("a\tb\nc", "a\tb\nc"),
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b[2J\x1b[1;1Hover it", "over it"),
        ("\x1b[38:2::1:2:3mred\x1b[>4;2mkeys", "redkeys"),
        ("\x9b31mred", "red"),
        ("\x1b]0;title\x07after", "after"),
        ("\x1b]8;;https://evil.example\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x9d52;c;Y3VybCBldmls\x9cafter", "after"),
        ("\x1b]52;c;never ended", ""),
        ("\x1b]0;never ended\nthe next line", "\nthe next line"),
        ("\x1bP1$r0m\x1b\\after\x1b_apc\x1b\\", "after"),
        ("\x1bcreset\x1b(0lqqk", "resetlqqk"),
        ("progress 1%\rprogress 2%\x08\x7f\x00", "progress 1%progress 2%"),
        ("\x85\x90never ended", ""),
        ("a\u202egpj.exe\u2066\u2029b\u061c", "agpj.exeb"),
        ("\ud800lone", "lone"),
        ("\x1b", ""),
        ("\x1b[", ""),
    ],
)
def test_nothing_that_controls_a_terminal_is_shown(written: str, seen: str) -> None:
    assert harmless(written) == seen
    assert harmless(seen) == seen


def test_a_line_is_cut_and_is_one_line() -> None:
    assert shown("a\nb" + "x" * 5000) == "ab" + "x" * 997
    assert clean("\x1b[1mbold\x1b]0;t\x07\x1b[0m\r\n") == "bold"


def test_lines_that_differ_in_numbers_only_say_the_same() -> None:
    assert without_numbers("round 3: loss 0.25e-3") == without_numbers("round 12: loss 7") == "round #: loss #"
