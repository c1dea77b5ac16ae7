"""Which runs a sweep has, and options that are wrong or contradict each other."""

from __future__ import annotations

import pytest

from fedsim_runner.contract.names import RUN_LENGTH, check_run
from fedsim_runner.runs.sweeps.members import RUNS_MAX, SUFFIX_LENGTH, Grid, SweepRequest, members_of, read_request
from fedsim_runner.yamlfile.spec_errors import SpecErrors


def test_every_point_with_every_seed() -> None:
    request = read_request("1,2", ["data.alpha=0.1,1", "federatedscope.config.model.type=lr,mlp"], 0.9)
    assert request.grids[0] == Grid("data.alpha", (0.1, 1))
    members = members_of(request)
    assert [member.suffix for member in members] == [
        *("p1-s1", "p2-s1", "p3-s1", "p4-s1"),
        *("p1-s2", "p2-s2", "p3-s2", "p4-s2"),
    ]
    assert members[1].described == "data.alpha=0.1, model.type=mlp, seed=1"
    assert [(one.key, one.value) for one in members[1].overrides] == [
        ("data.alpha", 0.1),
        ("federatedscope.config.model.type", "mlp"),
        ("seed", 1),
        ("course.target", 0.9),
    ]
    assert [one.given for one in members[1].overrides][2:] == ["--seeds 1", "--target 0.9"]


def test_seeds_alone_and_a_grid_alone() -> None:
    assert [one.suffix for one in members_of(read_request("7", [], None))] == ["s7"]
    assert [one.suffix for one in members_of(read_request(None, ["data.alpha=1,2"], None))] == ["p1", "p2"]


def test_the_longest_name_is_a_name() -> None:
    request = SweepRequest((2**31 - 1,), (Grid("data.alpha", tuple(range(1, RUNS_MAX))),))
    longest = max((member.suffix for member in members_of(request)), key=len)
    assert len(longest) + 1 == SUFFIX_LENGTH
    check_run(f"{'x' * (RUN_LENGTH - SUFFIX_LENGTH)}-{longest}")


@pytest.mark.parametrize(
    ("seeds", "grids", "target", "expected"),
    [
        ("", [], None, ["--seeds: has no values (write them between commas"]),
        ("1,,2", [], None, ['--seeds 1,,2: "1,,2" cannot be read as values']),
        ("1,2,1", [], None, ["--seeds 1,2,1: 1 is there twice (write each once)"]),
        ("1,two", [], None, ['--seeds 1,two: "two" is not a whole number (write seeds between commas, as in 1,2,3)']),
        (None, ["data.alpha"], None, ["--grid data.alpha: names no values (write KEY=VALUE,VALUE,..."]),
        (None, ["data.alpha="], None, ["--grid data.alpha=: has no values"]),
        (None, ["data.alpha=1,1"], None, ["--grid data.alpha=1,1: 1 is there twice"]),
        (None, ["=1"], None, ['--grid =1: "" is not a key']),
        (None, ["seed=1,2"], None, ["--grid seed=1,2: seeds are repeats of one point, not points (write --seeds 1,2)"]),
        (None, ["name=a,b"], None, ["--grid name=a,b: the name is that of all runs"]),
        (
            None,
            ["train.optimizer.lr=1,2"],
            None,
            ["--grid train.optimizer.lr=1,2: train: unknown key (", "federatedscope.config.train.optimizer.lr)"],
        ),
        (None, ["data.alpha=1", "data.alpha=2"], None, ["--grid data.alpha: is given twice"]),
        (None, ["network={}", "network.backend=netem"], None, ["--grid network: overlaps with --grid network.backend"]),
        (None, ["course.target=0.8"], 0.9, ["--grid course.target: contradicts --target 0.9"]),
        (",".join(map(str, range(RUNS_MAX + 1))), [], None, ["--seeds: these are 1001 runs (at most 1000"]),
        ("1,1", ["name=a", "x"], None, ["--grid name=a", "--grid x: ", "--seeds 1,1"]),
    ],
)
def test_every_mistake_names_its_option(
    seeds: str | None, grids: list[str], target: float | None, expected: list[str]
) -> None:
    with pytest.raises(SpecErrors) as caught:
        read_request(seeds, grids, target)
    for words in expected:
        assert words in str(caught.value)
