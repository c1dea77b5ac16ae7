"""Values that options give in place of an experiment file's: where they go, and mistakes that name the option."""

from __future__ import annotations

from pathlib import Path

import pytest

from fedsim_runner.spec.experiment import Experiment
from fedsim_runner.spec.federatedscope_tree import tree_document
from fedsim_runner.spec.load import parse_draft
from fedsim_runner.yamlfile.overrides import Override, parse_key, parse_values
from fedsim_runner.yamlfile.spec_errors import SpecErrors

TEXT = """\
name: study
seed: 1
devices:
  - {name: server, type: edge-server, role: server}
  - {type: smartphone-high, count: 2, network: 4g}
  - {type: raspberry-pi}
data: {dataset: digits, split: dirichlet, alpha: 0.5}
federatedscope:
  config:
    federate: {total_round_num: 3, make_global_eval: true}
    model: {type: lr, out_channels: 10}
    train: {optimizer: {lr: 0.1}}
    eval: {metrics: [acc]}
"""


def read(*overrides: Override, text: str = TEXT, path: Path = Path("study.yaml")) -> Experiment:
    return parse_draft(text, path, overrides).finish()


def mistakes(*overrides: Override, text: str = TEXT) -> list[str]:
    with pytest.raises(SpecErrors) as caught:
        read(*overrides, text=text)
    return str(caught.value).splitlines()


def given(key: str, value: object) -> Override:
    return Override(key, value, f"--grid {key}={value}")


def test_a_value_is_in_force_everywhere_and_is_recorded() -> None:
    overrides = (
        given("data.alpha", 0.1),
        given("devices[1].count", 4),
        given("federatedscope.config.train.optimizer.lr", 0.5),
        given("federatedscope.config.dataloader.batch_size", 8),
        given("course.timeout", 60),
    )
    made = read(*overrides)
    assert (made.data.alpha, len(made.clients), made.course.timeout_s) == (0.1, 5, 60.0)
    assert made.config["train"]["optimizer"]["lr"] == 0.5
    assert made.config["dataloader"] == {"batch_size": 8}
    assert made.overrides == overrides
    assert made.source == TEXT


def test_what_shares_an_anchor_keeps_its_value() -> None:
    text = TEXT.replace("{type: raspberry-pi}", "{type: raspberry-pi, overrides: *small}")
    text = text.replace("network: 4g}", "network: 4g, overrides: &small {cpus: 0.5}}")
    made = read(given("devices[2].overrides.cpus", 0.25), text=text)
    assert [device.type.cpus for device in made.clients] == [0.5, 0.5, 0.25]


def test_keys_of_a_configuration_in_a_file_of_its_own(tmp_path: Path) -> None:
    head, _, tree = TEXT.partition("  config:\n")
    (tmp_path / "own.yaml").write_text(tree, encoding="utf-8")
    text = f"{head}  config_file: own.yaml\n"
    override = given("federatedscope.config.federate.total_round_num", 7)
    made = read(override, text=text, path=tmp_path / "study.yaml")
    assert made.total_rounds == 7
    document = tree_document(text, tmp_path / "study.yaml", made.overrides)
    document.report(("federate", "total_round_num"), "too many")
    document.report(("model", "type"), "unknown")
    assert [str(error).partition(": ")[0] for error in document.errors] == [override.given, f"{tmp_path}/own.yaml:2"]


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        (given("data.alpha", 0), "data.alpha: must be at least 0.001, not 0"),
        (given("data.aplha", 1), 'data.aplha: unknown key (did you mean "alpha"?)'),
        (given("cours.timeout", 1), 'cours: unknown key (did you mean "course"?)'),
        (given("devices[7].x", 1), "devices[7]: there are only 3 entries in the file (they are counted from 0 to 2)"),
        (
            given("devices.count", 1),
            "devices: is a list of entries in the file (line 4) (name one, as in devices[0])",
        ),
        (
            given("devices[1].network.latency_ms", 9),
            'devices[1].network: is the text "4g" in the file (line 5), which has no key latency_ms '
            "(vary devices[1].network itself, or write it out in the file)",
        ),
        (given("data[0]", 1), "data: is a mapping in the file (line 7), which has no entries"),
        (given("network.profiles[0]", 1), "network: is not in the file, so it has no entries"),
        (given("course.min_clients", 1), "course.min_clients: means nothing with on_client_failure: abort"),
    ],
)
def test_a_mistake_names_the_option_and_the_fix(override: Override, expected: str) -> None:
    found = mistakes(override)
    assert len(found) == 1
    assert found[0].startswith(f"{override.given}: {expected}")


def test_mistakes_of_the_file_keep_their_lines() -> None:
    found = mistakes(given("data.alpha", 0), text=TEXT.replace("lr: 0.1", "lr: .inf"))
    assert [line.partition(": ")[0] for line in found] == ["--grid data.alpha=0", "study.yaml:12"]


@pytest.mark.parametrize(
    ("tree", "expected"),
    [
        ("", None),
        ("    eval: {metrics: [loss]}\n", "no evaluation measures an accuracy (add acc to eval.metrics"),
        ("    eval: {metrics: [acc], split: [train]}\n", "no evaluation is on test or validation data"),
        ("    eval: {metrics: [acc], report: [raw]}\n", "the clients' accuracies are not averaged"),
    ],
)
def test_a_target_that_no_evaluation_can_reach(tree: str, expected: str | None) -> None:
    by_clients = TEXT.replace("    eval: {metrics: [acc]}\n", tree).replace(", make_global_eval: true", "")
    text = by_clients if tree else TEXT
    target = Override("course.target", 0.9, "--target 0.9")
    if expected is None:
        assert read(target, text=text).course.target == 0.9
    else:
        assert f"--target 0.9: course.target: {expected}" in mistakes(target, text=text)[0]


def test_keys_and_values() -> None:
    assert parse_key("devices[2].network", "x") == ("devices", 2, "network")
    assert parse_values('1,0.5, abc,true,[a, b],"x,y"', "x") == [1, 0.5, "abc", True, ["a", "b"], "x,y"]
    for wrong in ("", ".", "a..b", "a[x]", "a b", "[0]", "a=b"):
        with pytest.raises(SpecErrors, match="is not a key"):
            parse_key(wrong, "--grid")
    for wrong in ("", " ", "1,,2", "[1", "1],[2", "a: {"):
        with pytest.raises(SpecErrors, match="between commas"):
            parse_values(wrong, "--grid")


def test_keys_of_the_default_course() -> None:
    text = TEXT.partition("federatedscope:")[0]
    override = given("federatedscope.config.federate.total_round_num", 4)
    made = read(override, text=text)
    assert made.total_rounds == 4
    assert made.config["model"]["type"] == "lr"
    assert any(note.endswith("but for federate.total_round_num, which options give") for note in made.notes)
    wrong = given("federatedscope.config.federate.total_round_num", 0)
    assert mistakes(wrong, text=text)[0].startswith(f"{wrong.given}: federate.total_round_num: must be at least 1")


def test_what_stands_beside_a_file_counts_and_options_count_more(tmp_path: Path) -> None:
    (tmp_path / "their.yaml").write_text(
        "federate: {total_round_num: 3, client_num: 9}\neval: {metrics: [acc, f1]}\ntrain: {optimizer: {lr: 0.1}}\n",
        encoding="utf-8",
    )
    text = TEXT[: TEXT.index("  config:")] + (
        "  config_file: their.yaml\n"
        "  config: {eval: {metrics: [acc]}, train: {optimizer: {lr: -1}, batch_or_epoch: no}}\n"
    )
    override = given("federatedscope.config.federate.total_round_num", 7)
    draft = parse_draft(text, tmp_path / "study.yaml", [override])
    assert draft.experiment.config["federate"] == {"total_round_num": 7}
    assert draft.experiment.config["eval"] == {"metrics": ["acc"]}
    assert draft.experiment.config["train"]["optimizer"] == {"lr": -1}
    assert any("their.yaml: the testbed sets federate.client_num" in note for note in draft.experiment.notes)
    with pytest.raises(SpecErrors, match=r"study\.yaml:10: federatedscope\.config\.train\.batch_or_epoch: is the text"):
        draft.finish()
    # What is found later stands where it was written, too.
    document = tree_document(text, tmp_path / "study.yaml", [override])
    for path in (("train", "optimizer", "lr"), ("federate", "client_num"), ("federate", "total_round_num")):
        document.report(path, "is wrong")
    assert [str(error).removeprefix(f"{tmp_path}/") for error in document.errors] == [
        "study.yaml:10: federatedscope.config.train.optimizer.lr: is wrong",
        "their.yaml:1: federate.client_num: is wrong",
        f"{override.given}: federate.total_round_num: is wrong",
    ]
    assert document.errors_at(("train", "optimizer", "lr"))
