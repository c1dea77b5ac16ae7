"""Merge keys are taken in FederatedScope's own files, as its reader takes them; experiment files have none."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from fedsim_runner.runs.new_experiment import experiment_around
from fedsim_runner.spec.federatedscope_tree import tree_document
from fedsim_runner.spec.load import read_draft
from fedsim_runner.yamlfile.document import NODES_MAX, parse
from fedsim_runner.yamlfile.spec_errors import SpecErrors
from tests.unit.spec.their_file import SPEC, write_around

THEIRS = """\
federate: {total_round_num: 3, make_global_eval: true}
model: {type: lr, out_channels: 3}
criterion: {type: CrossEntropyLoss}
eval: {best_res_update_round_wise_key: test_loss}
train: &training
  local_update_steps: 2
  optimizer: &optimizer {lr: 0.5}
finetune:
  <<: *training
  local_update_steps: 4
"""


@pytest.mark.parametrize(
    "text",
    [
        "a: &a {x: 1, y: {z: 2}}\nb: {<<: *a, x: 3}",
        "a: &a {x: 1}\nb: {x: 3, <<: *a}",
        "a: &a {x: 1}\nb: &b {<<: *a, y: 2}\nc: {<<: *b, z: 3}",
        "a: {<<: [{x: 1}, {y: 3}]}",
        "a: {<<: []}",
        "l: [{<<: {x: 1}, y: 2}]",
    ],
)
def test_they_mean_what_other_readers_take_them_for(text: str) -> None:
    document = parse(text, "their.yaml", merges=True)
    assert document.errors == []
    assert document.value() == yaml.safe_load(text)


def test_of_several_mappings_the_first_that_has_a_key_counts() -> None:
    document = parse("a: {<<: [{one: 1}, {one: 2, two: 3}]}", "their.yaml", merges=True)
    assert document.value() == {"a": {"one": 1, "two": 3}}
    (error,) = parse("a:\n  <<: {one: 1}\n  <<: {one: 2}\n", "their.yaml", merges=True).errors
    assert (error.line, error.message) == (3, "a second merge key")


@pytest.mark.parametrize("value", ["5", "", "[{x: 1}, 2]", "*text"])
def test_only_mappings_are_merged(value: str) -> None:
    document = parse(f"t: &text abc\na:\n  <<: {value}\n  y: 1\n", "their.yaml", merges=True)
    assert [(error.line, error.path) for error in document.errors] == [(3, "a.<<")]
    assert document.value()["a"] == {"y": 1}


def test_what_grows_without_bound_is_refused() -> None:
    lines = ["a0: &a0 {x: {k: [1, 2, 3, 4, 5, 6, 7, 8, 9]}}"]
    lines += [f"a{n}: &a{n} {{<<: *a{n - 1}, k{n}: [*a{n - 1}, *a{n - 1}]}}" for n in range(1, 20)]
    with pytest.raises(SpecErrors, match=f"more than {NODES_MAX} values"):
        parse("\n".join(lines), "their.yaml", merges=True)


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    return write_around(THEIRS, tmp_path)


def test_federatedscopes_file_is_read(spec: Path) -> None:
    draft = read_draft(spec)
    assert draft.document.errors == []
    assert draft.experiment.config["finetune"] == {"local_update_steps": 4, "optimizer": {"lr": 0.5}}
    made = experiment_around([spec.parent / "their.yaml"], None, None, spec.parent)
    assert "config_file: their.yaml" in made.text


def test_what_is_merged_keeps_its_line(spec: Path) -> None:
    their = spec.parent / "their.yaml"
    their.write_text(THEIRS.replace("lr: 0.5", "lr: .nan"), encoding="utf-8")
    errors = read_draft(spec).document.errors
    found = [(Path(error.file).name, error.line, error.path) for error in errors]
    assert found == [("their.yaml", 7, "train.optimizer.lr"), ("their.yaml", 7, "finetune.optimizer.lr")]
    # Engines report later, when the file is read again.
    assert tree_document(spec.read_text(encoding="utf-8"), spec).position(("finetune", "optimizer", "lr"))[0] == 7


def test_experiment_files_have_none(spec: Path) -> None:
    config = "".join(f"    {line}\n" for line in THEIRS.splitlines())
    spec.write_text(SPEC.replace("{config_file: their.yaml}", f"\n  config:\n{config}"), encoding="utf-8")
    (error,) = read_draft(spec).document.errors
    assert (error.line, error.path) == (16, "federatedscope.config.finetune.<<")
    assert error.message == "merge keys are not supported"
