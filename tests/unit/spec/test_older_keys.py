"""Keys of an older FederatedScope in a file of its own are read under their present names, where only these changed."""

from __future__ import annotations

from pathlib import Path

import pytest

from fedsim_runner.catalog.federatedscope_keys import OLDER_KEYS, known_keys, moved_to, no_longer_read
from fedsim_runner.runs.experiment_file import load_experiment
from fedsim_runner.runs.new_experiment import experiment_around
from fedsim_runner.spec.federatedscope_tree import tree_document
from fedsim_runner.spec.load import read_draft
from fedsim_runner.spec.older_keys import Moved, move_older_keys
from fedsim_runner.yamlfile.document import Document, parse
from fedsim_runner.yamlfile.spec_errors import SpecErrors
from tests.unit.spec.their_file import SPEC, write_around

THEIRS = """\
federate: {total_round_num: 3, local_update_steps: 2, batch_or_epoch: epoch}
model: {type: lr, out_channels: 3}
criterion: {type: CrossEntropyLoss}
optimizer:
  lr: 0.5
  grad_clip: 5.0
early_stop: {the_smaller_the_better: false}
"""


def move(text: str) -> tuple[Document, Moved]:
    document = parse(text, "their.yaml", merges=True)
    return document, move_older_keys(document)


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    return write_around(THEIRS, tmp_path)


def test_a_file_of_an_older_federatedscope_is_read_as_its_present_form_with_notes(spec: Path) -> None:
    experiment = load_experiment(spec)
    assert experiment.config == {
        "federate": {"total_round_num": 3},
        "model": {"type": "lr", "out_channels": 3},
        "criterion": {"type": "CrossEntropyLoss"},
        "train": {"local_update_steps": 2, "batch_or_epoch": "epoch", "optimizer": {"lr": 0.5}},
        "grad": {"grad_clip": 5.0},
    }
    moves, left_out = (note for note in experiment.notes if "older FederatedScope" in note)
    assert moves == (
        "their.yaml: keys of an older FederatedScope are read under their present names: federate.local_update_steps "
        "as train.local_update_steps, federate.batch_or_epoch as train.batch_or_epoch, optimizer.lr as "
        "train.optimizer.lr, optimizer.grad_clip as grad.grad_clip"
    )
    assert left_out.endswith("are left out: early_stop.the_smaller_the_better")


def test_a_mistake_in_a_moved_value_names_the_line_where_it_is_written(spec: Path) -> None:
    (spec.parent / "their.yaml").write_text(THEIRS.replace("lr: 0.5", "lr: .nan"), encoding="utf-8")
    (error,) = read_draft(spec).document.errors
    assert (Path(error.file).name, error.line, error.path) == ("their.yaml", 5, "train.optimizer.lr")
    # Engines report later, when the file is read again.
    assert tree_document(SPEC, spec).position(("grad", "grad_clip"))[0] == 6


def test_what_the_experiment_file_gives_counts_for_the_present_key(spec: Path) -> None:
    given = "config_file: their.yaml, config: {train: {optimizer: {lr: 0.1}}}"
    spec.write_text(SPEC.replace("config_file: their.yaml", given), encoding="utf-8")
    assert load_experiment(spec).config["train"]["optimizer"] == {"lr": 0.1}


def test_in_the_experiment_file_an_older_key_is_a_mistake(spec: Path) -> None:
    given = "config_file: their.yaml, config: {optimizer: {lr: 0.1}}"
    engine = SPEC.replace("role: server}", "role: server, engine: federatedscope}")
    spec.write_text(engine.replace("config_file: their.yaml", given), encoding="utf-8")
    with pytest.raises(SpecErrors) as caught:
        load_experiment(spec)
    assert [(error.path, error.line) for error in caught.value.errors] == [("federatedscope.config.optimizer.lr", 6)]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("optimizer: {lr: 0.1}\ntrain: {optimizer: {lr: 0.1}}", {"train": {"optimizer": {"lr": 0.1}}}),
        ("optimizer: {lr: 1}\ntrain: {optimizer: {type: Adam}}", {"train": {"optimizer": {"type": "Adam", "lr": 1}}}),
        ("trainer: {type: x, finetune: {steps: 4}}", {"trainer": {"type": "x"}, "finetune": {"local_update_steps": 4}}),
        ("early_stopping: {patience: 3}", {"early_stop": {"patience": 3}}),
        ("data: {graphsaint: {num_steps: 3}}", {"dataloader": {"num_steps": 3}}),
        ("a: &a {lr: 0.1}\noptimizer: *a", {"a": {"lr": 0.1}, "train": {"optimizer": {"lr": 0.1}}}),
        ("train: {batch_or_epoch: epoch}", {"train": {"batch_or_epoch": "epoch"}}),
        ("optimizer: 5", {"train": {"optimizer": 5}}),  # is refused there, as it is no mapping
        # As W&B exports a sweep.
        ("optimizer: {lr: 0.1}\noptimizer.lr: 0.1", {"train": {"optimizer": {"lr": 0.1}}}),
        ("personalization: {K: 5}\npersonalization.K: 5", {"personalization": {"K": 5}}),
    ],
)  # fmt: skip
def test_values_go_where_the_present_version_has_them(text: str, value: object) -> None:
    assert move(text)[0].value() == value


@pytest.mark.parametrize(
    "text",
    [
        "optimizer: {lr: 0.1}\ntrain: {optimizer: {lr: 0.2}}",
        "optimizer: {lr: 0.1}\ntrain: {optimizer: 5}",
        "optimizer: {lr: 0.1}\ntrain: 5",
        "optimizer: {made_up.lr: 0.1}",
        "optimizer: {}",
        "optimizer.lr: 0.1",
        "personalization: {K: 5}\npersonalization.K: 6",
        "xgb_base: {use: true, use_bin: true}",
        "vertical: {xgb_use_bin: true}",
        "trainer: {finetune: {epochs: 2, only_psn: true}}",
        "maml: {use: true}",
        "federate: 5",
    ],
)
def test_what_contradicts_or_is_of_another_form_stays_for_the_checks_to_refuse(text: str) -> None:
    document, moved = move(text)
    assert document.value() == parse(text, "their.yaml").value()
    assert moved.dropped == []


def test_every_older_key_is_moved_left_out_or_refused_on_purpose() -> None:
    kept = {
        "aggregator.krum", "data.graphsaint", "sgdmf.local_finetune_steps", "trainer.finetune.epochs",
        "trainer.finetune.only_psn", "vertical.xgb_use_bin", "xgb_base", "xgb_base.use", "xgb_base.use_bin",
    }  # fmt: skip
    for key in OLDER_KEYS:
        path = tuple(key.split("."))
        target = moved_to(path, known_keys())
        assert (target is not None) + no_longer_read(path) + (key in kept) == 1, key
        assert target is None or known_keys().has(target), key


def test_init_reads_a_participants_older_keys_as_present_ones(tmp_path: Path) -> None:
    of_all = "federate: {total_round_num: 3}\ndata: {type: toy}\nmodel: {type: lr}\n"
    files = []
    for role, rate in (("server", 0.1), ("client", 0.2)):
        files.append(tmp_path / f"{role}.yaml")
        files[-1].write_text(f"{of_all}distribute: {{role: {role}}}\noptimizer: {{lr: {rate}}}\n", encoding="utf-8")
    assert "federatedscope: {train: {optimizer: {lr: 0.2}}}" in experiment_around(files, None, None, tmp_path).text
