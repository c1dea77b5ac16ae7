"""Trace files as they are found: formats, line ends, comments, limits."""

from __future__ import annotations

from pathlib import Path

import pytest

from fedsim_runner.spec.traces import files
from fedsim_runner.spec.traces.files import TraceFile, read_trace_file
from fedsim_runner.yamlfile.spec_errors import SpecError


def read(path: Path, content: str | bytes) -> TraceFile:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    errors: list[SpecError] = []
    found = read_trace_file(path, errors)
    assert found is not None and not errors, errors
    return found


def mistakes(path: Path, content: str) -> list[str]:
    path.write_text(content)
    errors: list[SpecError] = []
    assert read_trace_file(path, errors) is None
    return [str(error).replace(f"{path}", "FILE") for error in errors]


def test_a_csv_trace_has_a_column_for_each_value(tmp_path: Path) -> None:
    found = read(
        tmp_path / "a.csv", "time_s,rate_up_kbps,rate_down_kbps,latency_ms,loss\n0,1,2,3,0\n0.5,4,5,6.5,0.25\n"
    )
    assert found.kind == "csv"
    assert found.up.at_ms == found.down.at_ms == (0, 500)
    assert (found.up.rate_bps, found.down.rate_bps) == ((1000, 4000), (2000, 5000))
    assert found.up.delay_us == found.down.delay_us == (3000, 6500)
    assert found.up.loss == (0.0, 0.25)
    assert found.up.length_ms == 1000, "the last row lasts as long as the one before it"


def test_columns_may_be_left_out_and_be_in_any_order(tmp_path: Path) -> None:
    found = read(tmp_path / "a.csv", "latency_ms, time_s\n10, 0\n20, 1\n")
    assert found.up.rate_bps is None and found.up.loss is None
    assert found.up.delay_us == (10_000, 20_000)


@pytest.mark.parametrize("start", ["0", "5", "1700000000.0"])
def test_times_are_of_any_clock(tmp_path: Path, start: str) -> None:
    content = f"time_s,loss\n{start},0\n{float(start) + 2},1\n"
    assert read(tmp_path / "a.csv", content).up.at_ms == (0, 2000)


def test_marks_blank_lines_comments_and_line_ends_do_not_matter(tmp_path: Path) -> None:
    plain = read(tmp_path / "a.csv", "time_s,loss\n0,0\n1,1\n")
    odd = read(tmp_path / "b.csv", "\ufeff# a comment\r\n\r\ntime_s,loss\r\n0,0\r\n\r\n1,1\r\n\r\n".encode())
    assert (odd.up, odd.down) == (plain.up, plain.down)
    packets = read(tmp_path / "a.up", "1\r\n2\r\n\r\n")
    assert packets.kind == "mahimahi" and packets.up == packets.down


def test_a_single_row_holds_for_good(tmp_path: Path) -> None:
    found = read(tmp_path / "a.csv", "time_s,rate_up_kbps\n3,100\n")
    assert found.up.at_ms == (0,) and found.up.rate_bps == (100_000,) and found.up.length_ms > 0


def test_files_with_the_same_name_and_other_content_are_told_apart(tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    one = read(tmp_path / "a.up", "1\n")
    assert one.name != read(tmp_path / "x" / "a.up", "2\n").name
    assert one.name == read(tmp_path / "x" / "a.up", "1\n").name


def test_the_first_mistakes_are_named_and_the_others_counted(tmp_path: Path) -> None:
    found = mistakes(tmp_path / "a.csv", "time_s,loss\n" + "0,x\n" * 30)
    assert len(found) == 11
    assert found[0] == "FILE:2: loss: not a number: x"
    assert found[-1] == "FILE:12: and 20 more mistakes from here on"


def test_too_many_steps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "STEPS_MAX", 2)
    assert mistakes(tmp_path / "a.csv", "time_s,loss\n0,0\n1,0\n2,0\n") == [
        "FILE: has 3 steps, more than 2 (cut the trace)"
    ]


@pytest.mark.parametrize(
    "content",
    [
        "time_s;rate_down_kbps\n10;2500\n11.5;0\n12;400\n",
        "time_ms\trate_down_mbps\n1573000000000\t2.5\n1573000001500\t0\n1573000002000\t0.4\n",
        "time_s rate_down_bps\n0 2500000\n1.5   0\n2 400000\n",
    ],
)
def test_columns_are_separated_and_in_units_as_the_first_line_says(tmp_path: Path, content: str) -> None:
    found = read(tmp_path / "a.txt", content)
    assert found.kind == "csv"
    assert found.down.at_ms == (0, 1500, 2000)
    assert found.down.rate_bps == (2_500_000, 2_500_000, 400_000)
    assert found.down.loss == (None, 1.0, None), "nothing passes where the rate is 0; else the profile's loss holds"
    assert found.up.rate_bps is None and found.up.loss is None


def test_where_nothing_passes_all_is_lost_in_that_direction_alone(tmp_path: Path) -> None:
    found = read(tmp_path / "a.csv", "time_s,rate_up_kbps,rate_down_kbps,loss_percent\n0,0,8,5\n1,7,0,0\n")
    assert (found.up.rate_bps, found.up.loss) == ((7000, 7000), (1.0, 0.0))
    assert (found.down.rate_bps, found.down.loss) == ((8000, 8000), (0.05, 1.0))


def test_a_direction_in_which_nothing_ever_passes(tmp_path: Path) -> None:
    assert mistakes(tmp_path / "a.csv", "time_s,rate_up_kbps\n0,0\n1,0\n") == [
        "FILE: rate_up is 0 all the time: nothing ever passes (remove the column, or give rates)"
    ]


def test_times_in_a_unit_that_the_column_does_not_say(tmp_path: Path) -> None:
    assert mistakes(tmp_path / "a.csv", "time_s,loss\n1573000000000,0\n") == [
        "FILE:2: time_s: 1573000000000 is thousands of years (is it in another unit?)"
    ]


def test_columns_of_others_are_named_together(tmp_path: Path) -> None:
    found = mistakes(tmp_path / "a.csv", "time_s,Longitude,Latitude,rate_up_kbp,DL_bitrate\n0,1,2,3,4\n")
    assert found[0] == 'FILE:1: unknown column "rate_up_kbp" (did you mean "rate_up_kbps"?)'
    assert found[1] == 'FILE:1: unknown column "dl_bitrate" (did you mean "rate_down_kbps"?)'
    assert found[2].startswith('FILE:1: unknown columns "longitude", "latitude" (remove what is not')
    found = mistakes(tmp_path / "a.csv", "Timestamp,DL_bitrate\n2019.11.25_15.34.34,1\n")
    assert found[0].startswith('FILE:1: no column time_s among "Timestamp", "DL_bitrate" (the first line names')


def test_rows_with_another_separator_than_the_first_line(tmp_path: Path) -> None:
    assert mistakes(tmp_path / "a.csv", "time_s,rate_down_mbps\n0.0\t2.3\n") == [
        "FILE:2: 1 value for 2 columns (separate values as the first line separates the columns' names)"
    ]


def test_a_table_without_its_first_line(tmp_path: Path) -> None:
    (found,) = mistakes(tmp_path / "a.log", "0.0\t2.34\n0.89\t2.5\n")
    assert found.endswith("of a table, the first line names the columns, such as time_s rate_down_mbps)")


@pytest.mark.parametrize("content", ["time_s,loss\n0,0\n1,LONG\n", "time_s,LONG\n0,0\n", "LONG"])
def test_a_line_that_no_table_has(tmp_path: Path, content: str) -> None:
    (found,) = mistakes(tmp_path / "a.csv", content.replace("LONG", "x" * 140_000))
    assert "a line of 140,0" in found and found.endswith("(a trace is a CSV file or a Mahimahi trace)")
