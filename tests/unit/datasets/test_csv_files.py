"""The user's CSV files: what is read, and which mistakes are reported, with their lines."""

from __future__ import annotations

import random

import numpy as np
import pytest

from fedsim_runner.datasets.csv_files import Table, read_table
from fedsim_runner.datasets.problems import DataError

GOOD = "length,width,kind\n1,2.5,b\n\n-3e-1, 4 ,a\n"


def table(text: str, label: str | int | None = None, header: bool | None = None) -> Table:
    return read_table(text.encode(), "d.csv", label, header)


def test_the_last_column_is_the_label_and_empty_lines_are_skipped() -> None:
    read = table(GOOD)
    assert read.features.dtype == np.float32
    assert read.features.tolist() == [[1, 2.5], [np.float32(-0.3), 4]]
    assert (list(read.labels), list(read.lines)) == (["b", "a"], [2, 4])
    assert (read.columns, read.label_column) == (("length", "width", "kind"), "kind")


@pytest.mark.parametrize("label", ["kind", 0, -3])
def test_the_label_by_name_and_number(label: str | int) -> None:
    read = table("kind,length,width\nb,1,2\na,3,4\n", label)
    assert list(read.labels) == ["b", "a"]
    assert read.features.tolist() == [[1, 2], [3, 4]]


def test_without_a_header() -> None:
    read = table("1,2,0\n3,4,1\n", header=False)
    assert (read.features.tolist(), list(read.labels)) == ([[1, 2], [3, 4]], ["0", "1"])
    assert read.columns == ("column 0", "column 1", "column 2")


def test_names_that_are_numbers() -> None:
    read = table("0,1,2\n3,4,1\n", header=True)
    assert (read.features.tolist(), read.columns) == ([[3, 4]], ("0", "1", "2"))


def test_columns_that_may_count() -> None:
    rows = "\n".join(f"{number},7,x" for number in range(9))
    assert read_table(rows.encode(), "d.csv", None, False).features.shape == (9, 2)  # too few to be sure
    named = "id,a,kind\n" + "\n".join(f"{number},7,x" for number in range(20))
    assert read_table(named.encode(), "d.csv", None, None).columns == ("id", "a", "kind")
    numbered = ",a,b\n" + "\n".join(f"{number % 3},7,1" for number in range(20))
    assert read_table(numbered.encode(), "d.csv", 0, None).features.shape == (20, 2)  # the label, by its number


def test_quotes_line_ends_and_byte_order_mark() -> None:
    read = read_table('\ufeffa,"b, c",kind\r\n1,2,"x\ny"\r\n3,4,z\r\n'.encode(), "d.csv", None, None)
    assert read.columns == ("a", "b, c", "kind")
    assert (list(read.labels), list(read.lines)) == (["x\ny", "z"], [2, 4])


@pytest.mark.parametrize(
    ("text", "options", "expected"),
    [
        ("", {}, ["d.csv: is empty"]),
        ("\n \n", {}, ["d.csv: is empty"]),
        ("a,b,kind\n", {}, ["d.csv: has no rows below the column names"]),
        (
            "a;b;kind\n1;2;x\n",
            {},
            [
                "d.csv:1: has only one column: it needs a label and at least one feature, separated by commas "
                "(it has semicolons: save it with commas)"
            ],
        ),
        (
            "1,2,0\n3,4,1\n",
            {},
            [
                "d.csv:1: is the first line and has only numbers: are they column names, or a sample? "
                "(write header: false if it is a sample, header: true if these are names)"
            ],
        ),
        (
            "a,b,kind\n1,2\n1,2,x\n1,2,3,x\n",
            {},
            [
                "d.csv:2: has 2 columns, the first line has 3",
                "d.csv:4: has 4 columns, the first line has 3 (put text with a comma in quotes; if all lines have one "
                "more, leave row numbers out (pandas: to_csv(path, index=False)))",
            ],
        ),
        (
            "a,b,kind\n1,abc,x\n,2,x\n1,nan,x\n1,1_000,x\n1,1e60,x\n1,2,\n",
            {},
            [
                'd.csv:2: column "b": "abc" is not a number (features are numbers, and a category is a column of 0 and '
                "1 for each value (pandas: get_dummies); data.label names the label)",
                'd.csv:3: column "a": is empty (give a number, or remove the row)',
                'd.csv:4: column "b": is not a finite number (give one, or remove the row)',
                'd.csv:5: column "b": "1_000" is not a number (features are numbers, ',
                'd.csv:6: column "b": is not a finite number (give one, or remove the row)',
                'd.csv:7: column "kind": the label is empty (give it, or remove the row)',
            ],
        ),
        (
            "x1,split,kind\n1,train,a\n1,Test,b\n",
            {},
            [
                'd.csv:2: column "split": "train" is not a number (the testbed splits itself: leave the column out, ',
                'd.csv:3: column "split": "Test" is not a number (the testbed splits itself: ',
            ],
        ),
        ("a,b,kind\n1,x,y\n", {"header": False}, ["d.csv:1: column 0: ", "d.csv:1: column 1: ", "d.csv:2: column 1: "]),
        (
            ",a,kind\n0,1,x\n",
            {},
            [
                "d.csv:1: column 0 has no name (leave row numbers out (pandas: to_csv(path, index=False)), or give it "
                "one; columns are counted from 0)"
            ],
        ),
        ("Unnamed: 0,a,kind\n0,1,x\n", {}, ["d.csv:1: column 0 has no name (leave row numbers out"]),
        ('"",a,kind\n0,1,x\n', {"label": "kind"}, ["d.csv:1: column 0 has no name (leave row numbers out"]),
        ("a,b, ,kind\n0,1,2,x\n", {}, ["d.csv:1: column 2 has no name (give it one, or remove it"]),
        ("a,b,kind,\n0,1,x,\n", {}, ["d.csv:1: column 3 has no name (give it one, or remove it"]),
        (
            "\n".join(f"{number},7,x" for number in range(1, 12)),
            {"header": False},
            [
                "d.csv:1: column 0 counts the rows from 1, which is no feature (leave row numbers out (pandas: "
                "to_csv(path, index=False)); if it is a feature, give the columns names in a first line, and write "
                "header: true)"
            ],
        ),
        (
            "a,kind\n0,1,x\n1,2,y\n",
            {},
            [
                "d.csv:2: has 3 columns, the first line has 2 (put text with a comma in quotes; if all lines have one "
                "more, leave row numbers out (pandas: to_csv(path, index=False)))",
                "d.csv:3: has 3 columns",
            ],
        ),
        (
            "a,b,kind\n1,2,x\n",
            {"label": "kinds"},
            ['d.csv:1: has no column "kinds" (did you mean "kind"?)'],
        ),
        ("a,b,kind\n1,2,x\n", {"label": "zzz"}, ['d.csv:1: has no column "zzz" (it has a, b, kind)']),
        ("a,a,k\n1,2,x\n", {"label": "a"}, ['d.csv:1: has 2 columns named "a" (give the column\'s number']),
        ("a,b\n1,x\n", {"label": 2}, ["d.csv:1: has 2 columns, so there is no column 2 (columns are counted from 0)"]),
        (
            "1,2\n",
            {"label": "a", "header": False},
            ['d.csv:1: has no column names, so no column is named "a" (give the column\'s number'],
        ),
        ('a,kind\n1,"x\n', {}, ["d.csv:2: cannot be read as CSV: unexpected end of data"]),
    ],
)
def test_mistakes(text: str, options: dict[str, bool | str | int], expected: list[str]) -> None:
    label, header = options.get("label"), options.get("header")
    assert isinstance(header, bool) or header is None
    with pytest.raises(DataError) as caught:
        table(text, label, header)
    lines = str(caught.value).splitlines()
    assert len(lines) == len(expected)
    for line, beginning in zip(lines, expected, strict=True):
        assert line.startswith(beginning)


def test_a_feature_that_counts_the_rows_has_a_name() -> None:
    rows = "\n".join(f"{number},7,x" for number in range(1, 12))
    assert table(f"day,a,kind\n{rows}", header=True).features[:, 0].tolist() == list(range(1, 12))


def test_not_utf8() -> None:
    with pytest.raises(DataError, match=r"^d\.csv:2: is not UTF-8: byte 0xff \(save the file as UTF-8\)$"):
        read_table(b"a,b\n1,\xff\n", "d.csv", None, None)


def test_many_mistakes_are_counted() -> None:
    with pytest.raises(DataError) as caught:
        table("a,b,kind\n" + "x,2,y\n" * 50 + "1,2,y\n")
    lines = str(caught.value).splitlines()
    assert (len(lines), lines[-1]) == (11, "d.csv: has 40 more mistakes than the 10 that are listed")
    with pytest.raises(DataError, match="many more mistakes"):
        table("a,b,kind\n" + "x,2,y\n" * 100_000)


def test_any_content_is_either_read_or_rejected() -> None:
    rng = random.Random(1)
    outcomes = set()
    for _ in range(500):
        data = bytearray(GOOD.encode() + b"1,2,a\n" * 5)
        for _ in range(rng.randint(1, 4)):
            data[rng.randrange(len(data))] = rng.choice([rng.randrange(256), ord('"'), ord(","), 10, 13, 0])
        try:
            read_table(bytes(data), "d.csv", rng.choice([None, 0, -1, "kind"]), rng.choice([None, True, False]))
            outcomes.add("read")
        except DataError as error:
            assert all(problem.file == "d.csv" for problem in error.problems)
            outcomes.add("rejected")
    assert outcomes == {"read", "rejected"}


def test_a_first_line_that_looks_like_a_sample_is_ambiguous() -> None:
    rows = "1,2,a\n3,4,b\n5,6,a\n"
    with pytest.raises(DataError) as caught:
        table(rows)
    (problem,) = caught.value.problems
    assert (problem.line, problem.key) == (1, "header") and 'a sample with the label "a"' in problem.message
    assert len(table("0,1,kind\n" + rows).labels) == 3  # pandas calls columns without names so
    assert len(table(rows, header=True).labels) == 2
    assert len(table(rows, header=False).labels) == 3
